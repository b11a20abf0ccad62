"""Ids against PaddleNLP itself: real sentences, hard lines, pairs, and every code point."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from ppernie.data.tokenizers import ErnieTokenizer

paddlenlp = pytest.importorskip("paddlenlp")
pytestmark = pytest.mark.skipif(
    unicodedata.unidata_version != "14.0.0",
    reason="PaddleNLP's ids depend on Python's Unicode; the reference is 3.11",
)


def both(vocab: Path, folder: Path, **options: bool) -> tuple[ErnieTokenizer, Any]:
    """Our tokenizer of a vocabulary file, and PaddleNLP's of the folder that ours saved."""
    ours = ErnieTokenizer.from_vocab(vocab, **options)
    ours.save(folder)
    return ours, paddlenlp.transformers.ErnieTokenizer.from_pretrained(str(folder))


def normal(text: str) -> str:
    letters = unicodedata.normalize("NFD", text.lower())
    return "".join(letter for letter in letters if unicodedata.category(letter)[0] not in "CM").strip()


@pytest.mark.parametrize("name, part", [("ernie3.0_base_zh", 1), ("ernie1.0_zh", 5), ("ernie2.0_en", 5)])
def test_real_sentences(
    name: str, part: int, sentences: list[str], hard_lines: list[str], shared_data: Path, tmp_path: Path
) -> None:
    ours, theirs = both(shared_data / "vocab" / f"{name}_vocab.txt", tmp_path)
    texts = sentences[::part] + hard_lines
    expected = theirs(texts)["input_ids"]
    encodings = ours.encode_batch(texts)
    assert [text for text, encoding, ids in zip(texts, encodings, expected, strict=True) if encoding.ids != ids] == []
    for text, encoding in zip(texts, encodings, strict=True):
        for token, (start, end) in list(zip(encoding.tokens, encoding.offsets, strict=True))[1:-1]:
            if token not in ("[UNK]", text[start:end]):
                piece = token.removeprefix("##")
                # One character, a Hangul syllable say, may yield several pieces.
                assert normal(text[start:end]) == piece or (end - start == 1 and piece in normal(text[start:end]))


def test_pairs_and_truncation(sentences: list[str], hard_lines: list[str], shared_data: Path, tmp_path: Path) -> None:
    ours, theirs = both(shared_data / "vocab" / "ernie3.0_base_zh_vocab.txt", tmp_path)
    texts = sentences[::20] + hard_lines
    pairs = list(zip(texts, reversed(texts), strict=True))
    for max_length in (8, 31, 64):
        expected = theirs(texts, max_length=max_length, truncation=True)
        encodings = ours.encode_batch(texts, max_length=max_length)
        assert [encoding.ids for encoding in encodings] == expected["input_ids"]
        expected = theirs(pairs, max_length=max_length, truncation=True)
        encodings = ours.encode_batch(pairs, max_length=max_length)
        assert [encoding.ids for encoding in encodings] == expected["input_ids"]
        assert [encoding.type_ids for encoding in encodings] == expected["token_type_ids"]


def test_words(hard_lines: list[str], shared_data: Path, tmp_path: Path) -> None:
    ours, theirs = both(shared_data / "vocab" / "ernie3.0_base_zh_vocab.txt", tmp_path)
    for line in hard_lines:
        for words in (list(line), line.split(" ")):
            if line:
                assert ours.encode_words(words).ids == theirs(words, is_split_into_words=True)["input_ids"]


@pytest.mark.parametrize("lowercase", [True, False])
def test_every_code_point(lowercase: bool, tmp_path: Path) -> None:
    """With every character in the vocabulary, a difference in dropping, splitting or mapping changes the ids."""
    points = [
        *range(0xD800),
        *range(0xE000, 0x32400),
        *range(0xE0000, 0xE0200),
    ]  # beyond: private or unassigned
    characters = [chr(point) for point in points if point not in (*map(ord, "\n\r\t"), 0x11938)]
    pieces = [
        piece
        for character in characters
        if unicodedata.category(character)[0] != "C"
        for piece in (character, f"##{character}")
    ]
    tokens = dict.fromkeys(["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *pieces])
    vocab = tmp_path / "all.txt"
    vocab.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8", newline="\n")
    ours, theirs = both(vocab, tmp_path / "saved", lowercase=lowercase)
    for start in range(0, len(characters), 512):
        text = "".join(f" a{character}b" for character in characters[start : start + 512])
        assert ours.encode(text).ids == theirs(text)["input_ids"], hex(ord(text[2]))
