"""Training a tokenizer, and a corpus with it: from text alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ppernie.cli.main import main
from ppernie.data.corpus import open_corpus
from ppernie.data.tokenizers import IcetkTokenizer, open_tokenizer
from ppernie.data.tokenizers.training import FIXED_PIECES, train_icetk
from ppernie.errors import UserError

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def text(shared_data: Path) -> str:
    """The beginnings of a Chinese and an English document."""
    novel = (shared_data / "classical_novels_zh" / "水浒传.txt").read_text(encoding="utf-8")
    articles = (shared_data / "wikitext2" / "valid.txt").read_text(encoding="utf-8")
    return f"{novel[:15_000]}\n\n{articles[:30_000]}\n"


@pytest.fixture
def write(tmp_path: Path, text: str) -> Write:
    """Writes text files and the config of a corpus over them."""

    def run(tokenizer: dict[str, str] | None = None) -> Path:
        (tmp_path / "a.txt").write_text(text, encoding="utf-8")
        lines = [json.dumps({"text": "宇宙洪荒，日月盈昃。\nThe second line."}, ensure_ascii=False)] * 2
        (tmp_path / "b.jsonl").write_text("\n".join(lines), encoding="utf-8")
        values = {
            "output": str(tmp_path / "corpus"),
            "root": str(tmp_path),
            "tokenizer": tokenizer or {"folder": str(tmp_path / "tokenizer")},
            "cleaning": {"min_words": 0},
            "sources": [{"name": "a", "files": "a.txt"}, {"name": "b", "files": "b.jsonl", "format": "jsonl"}],
            "block_mb": 0.02,
        }
        path = tmp_path / "corpus.yaml"
        path.write_text(json.dumps(values), encoding="utf-8")
        return path

    return run


def test_from_text_to_a_corpus(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, folder = write(), tmp_path / "tokenizer"
    assert main(["tokenizer", "-c", str(config), str(folder), "--vocab-size", "2500"]) == 0
    assert "2,500 tokens" in capsys.readouterr().out
    tokenizer = open_tokenizer(folder)
    assert isinstance(tokenizer, IcetkTokenizer) and tokenizer.vocab_size == 2500
    assert main(["preprocess", "-c", str(config), "--workers", "2"]) == 0
    corpus = open_corpus(tmp_path / "corpus")
    corpus.check(tokenizer)
    corpus.check(open_tokenizer(tmp_path / "corpus" / "tokenizer"))
    with pytest.raises(UserError, match="made with another tokenizer"):
        corpus.check(IcetkTokenizer(tokenizer.model, image_tokens=1))
    ids = np.asarray(corpus.tokens[corpus.sentences[corpus.documents[-2]] :])
    assert tokenizer.decode(ids.tolist()) == "宇宙洪荒，日月盈昃。 The second line."
    # Chinese sentences follow on each other without a space.
    assert not [name for name in map(tokenizer.id_to_token, corpus.tokens[corpus.sentences[:8]]) if name[0] == "▁"]
    # A token of two words, such as "他在", begins where the first one does.
    assert corpus.words[0] == 1 and 0.3 < np.asarray(corpus.words).mean() < 1

    (tmp_path / "corpus").rename(tmp_path / "first")
    assert main(["preprocess", "-c", str(config), "--workers", "1"]) == 0
    for name in ("tokens", "words", "sentences"):
        files = [tmp_path / place / f"{name}.bin" for place in ("first", "corpus")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_the_same_text_gives_the_same_pieces(text: str) -> None:
    lines = text.split("\n")
    first, again = train_icetk(lines, 2500), train_icetk(iter(lines), 2500)
    assert first.model == again.model
    drawn = train_icetk(lines, 1700, max_sentences=40)
    assert drawn.model == train_icetk(lines, 1700, max_sentences=40).model


def test_learnt_pieces_are_longer_than_characters(text: str) -> None:
    tokenizer = train_icetk(text.split("\n"), 2500)
    ids = tokenizer.encode_plain(text[-2000:])
    assert len(ids) < 0.7 * 2000
    assert tokenizer.decode(ids) == text[-2000:]


@pytest.mark.parametrize(
    ("size", "sentences", "message"),
    [
        (FIXED_PIECES, ["a"], f"alone are {FIXED_PIECES}; raise the size"),
        (FIXED_PIECES + 50, ["", ""], "there is no text to learn"),
        (FIXED_PIECES + 50, ["a b c", "d e f"], r"pieces for \d+ only; lower the size"),
        (FIXED_PIECES + 5, ["abcdefg", "hijklmn"], r"characters of the text alone take \d+; raise the size"),
    ],
)
def test_sizes_that_do_not_fit(size: int, sentences: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        train_icetk(sentences, size)


def test_mistakes(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write()
    (tmp_path / "there").mkdir()
    assert main(["tokenizer", "-c", str(config), str(tmp_path / "there")]) == 2
    assert "there: is there already; remove it" in capsys.readouterr().err
    assert main(["tokenizer", "-c", str(config), str(tmp_path / "new"), "--vocab-size", "90000"]) == 2
    assert "lower the size, or add text" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert main(["preprocess", "-c", str(config)]) == 2
    assert "holds no tokenizer; make one with ppernie tokenizer" in capsys.readouterr().err
    (tmp_path / "a.txt").unlink()
    assert main(["tokenizer", "-c", str(config), str(tmp_path / "new")]) == 2
    assert "a.txt: no such file" in capsys.readouterr().err
    assert main(["preprocess", "-c", str(write({"folder": "x", "vocab_file": "y"}))]) == 2
    assert "give one of tokenizer.vocab_file, tokenizer.folder and pretrained_model" in capsys.readouterr().err
