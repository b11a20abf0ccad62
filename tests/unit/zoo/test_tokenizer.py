"""Tokenizers of pretrained weights, from every folder that holds one."""

from __future__ import annotations

import io
import pickle
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

import ppernie
from ppernie.data.tokenizers import ErnieTinyTokenizer, ErnieTokenizer, write_tokenizer
from ppernie.errors import UserError
from ppernie.zoo.tokenizer import read_tokenizer, read_words

WORDS = ["北京", "天安门", "学习"]
TEXT = "我爱北京天安门，学习ABC。"


class Code:
    """A pickle that would run a command."""

    def __reduce__(self) -> Any:
        return print, ("ran",)


@pytest.fixture(scope="module")
def tiny() -> ErnieTinyTokenizer:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["我 爱 北京 天安门", "学习 abc"] * 8),
        model_writer=model,
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    tokens = [pieces.IdToPiece(index) for index in range(3, pieces.GetPieceSize())]
    return ErnieTinyTokenizer(["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *tokens], model.getvalue(), WORDS)


def released(tiny: ErnieTinyTokenizer, folder: Path, words: Any, protocol: int = 2) -> Path:
    """The four files of the released ernie-tiny, its dictionary a pickle."""
    write_tokenizer(tiny, folder, "paddlenlp")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink()
    (folder / "dict.wordseg.pickle").write_bytes(pickle.dumps(words, protocol))
    return folder


@pytest.mark.parametrize("library", ["paddlenlp", "huggingface"])
@pytest.mark.parametrize("lowercase", [True, False])
def test_of_a_library(library: str, lowercase: bool, make_origin: Callable[..., Any], tmp_path: Path) -> None:
    origin = make_origin()
    folder = origin.save(tmp_path, library)
    tokenizer = ErnieTokenizer(origin.tokens, lowercase=lowercase)
    write_tokenizer(tokenizer, folder, library)  # type: ignore[arg-type]
    found = ppernie.load_tokenizer(folder)
    assert found.lowercase is lowercase
    assert found.encode(TEXT).ids == tokenizer.encode(TEXT).ids


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("kind", [set, list, dict.fromkeys])
def test_pickled_dictionary(kind: Callable[..., Any], protocol: int, tiny: ErnieTinyTokenizer, tmp_path: Path) -> None:
    found = read_tokenizer(released(tiny, tmp_path, kind(WORDS), protocol))
    assert isinstance(found, ErnieTinyTokenizer)
    assert found.encode(TEXT) == tiny.encode(TEXT)
    assert len(found.encode(TEXT)) != len(ErnieTinyTokenizer(tiny.tokens, tiny.model, []).encode(TEXT))


@pytest.mark.parametrize("words", [Code(), [Code()], {"北京": Code()}, {1, 2}, ["北京", b"a"], "北京", 3, None])
def test_pickles_that_hold_something_else(words: Any, tiny: ErnieTinyTokenizer, tmp_path: Path, capfd: Any) -> None:
    with pytest.raises(UserError, match=r"dict\.wordseg\.pickle: "):
        read_words(released(tiny, tmp_path, words) / "dict.wordseg.pickle")
    assert "ran" not in capfd.readouterr().out


def test_dictionaries_that_are_damaged(tiny: ErnieTinyTokenizer, tmp_path: Path) -> None:
    path = released(tiny, tmp_path, set(WORDS)) / "dict.wordseg.pickle"
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(UserError):
            read_words(path)
    path.unlink()
    with pytest.raises(UserError, match="wordseg"):
        read_words(path)


def test_a_vocabulary_of_ten_million_lines(make_origin: Callable[..., Any], tmp_path: Path) -> None:
    folder = make_origin().save(tmp_path, "paddlenlp")
    (folder / "vocab.txt").write_bytes(b"a\n" * 10**7)
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(UserError, match="more than 1,000,000 lines"):
        ppernie.load_tokenizer(folder)
    assert time.perf_counter() - start < 1
    # The file's own bytes, and no list of its lines.
    assert tracemalloc.get_traced_memory()[1] < 2 * 2 * 10**7
    tracemalloc.stop()


def test_a_model_without_a_vocabulary(make_origin: Callable[..., Any], tmp_path: Path) -> None:
    folder = make_origin().save(tmp_path, "paddlenlp")
    (folder / "vocab.txt").unlink()
    with pytest.raises(UserError, match=r"vocab\.txt"):
        ppernie.load_tokenizer(folder)
