"""The ids of many sentences at once are the tokenizer's, sentence by sentence."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ppernie.data.corpus.cleaning import split_sentences
from ppernie.data.corpus.encoding import SentenceEncoder
from ppernie.data.tokenizers import ErnieTokenizer, Tokenizer


def _one_by_one(tokenizer: Tokenizer, sentences: Sequence[str]) -> tuple[list[int], list[int]]:
    ids, places, start = [], [], 0
    for sentence in sentences:
        encoding = tokenizer.encode(sentence)
        ids += encoding.ids[1:-1]
        places += [start + first for first, _ in encoding.offsets[1:-1]]
        start += len(sentence)
    return ids, places


@pytest.mark.parametrize("vocabulary", ["ernie3.0_base_zh_vocab.txt", "ernie2.0_en_vocab.txt"])
def test_real_text(vocabulary: str, shared_data: Path) -> None:
    tokenizer = ErnieTokenizer.from_vocab(shared_data / "vocab" / vocabulary)
    encoder = SentenceEncoder(tokenizer)
    for path in ("laws_zh/laws.jsonl", "classical_novels_zh/水浒传.txt", "wikitext2/valid.txt"):
        text = (shared_data / path).read_bytes()[:150_000].decode("utf-8", "ignore")
        sentences = list(split_sentences(text))
        ids, places = encoder(sentences)
        assert (ids.tolist(), places.tolist()) == _one_by_one(tokenizer, sentences)


def test_any_text(chinese_tokenizer: ErnieTokenizer) -> None:
    encoder = SentenceEncoder(chinese_tokenizer)
    rng = random.Random(0)
    blocks = [(32, 127), (0, 32), (160, 600), (0x300, 0x370), (0x1100, 0x1200), (0x3040, 0x3100), (0x4E00, 0x9FFF)]
    blocks += [(0xAC00, 0xAD00), (0xD800, 0xE000), (0xFF00, 0xFFFF), (0x1F300, 0x1F650), (0x20000, 0x20100)]
    sentences = []
    for _ in range(1500):
        text = "".join(chr(rng.randrange(*rng.choice(blocks))) for _ in range(rng.randrange(1, 25)))
        sentences.append(text.replace("\n", " "))
    sentences += ["a" * 101, "的" * 300, "", " ", "\u0301", "中\u0301文", "か\u3099"]
    ids, places = encoder(sentences)
    assert (ids.tolist(), places.tolist()) == _one_by_one(chinese_tokenizer, sentences)


def test_special_tokens_that_are_written_out_are_text(small_tokenizer: ErnieTokenizer) -> None:
    text = "天[MASK]地[SEP][MASK]"
    special = [small_tokenizer.mask_id, small_tokenizer.sep_id]
    assert set(special) < set(small_tokenizer.encode(text).ids[1:-1])
    ids, _ = SentenceEncoder(small_tokenizer)([text])
    assert ids.tolist() == small_tokenizer.encode("天[ MASK]地[ SEP][ MASK]").ids[1:-1]
    assert not set(ids.tolist()) & set(special)


def test_special_tokens_are_text_to_other_tokenizers_too() -> None:
    seen: list[str] = []

    def encode(text: str) -> Any:
        seen.append(text)
        places = range(len(text))
        return SimpleNamespace(ids=[0, *(ord(c) for c in text), 0], offsets=[(0, 0), *((p, p) for p in places), (0, 0)])

    encoder = SentenceEncoder(SimpleNamespace(unk_id=1, encode=encode))  # type: ignore[arg-type]
    ids, places = encoder(["a[MASK]b", "[CLS]", "c[UNKNOWN]"])
    assert seen == ["a[", "MASK]b", "[", "CLS]", "c[UNKNOWN]"]
    assert "".join(map(chr, ids)) == "a[MASK]b[CLS]c[UNKNOWN]" and places.tolist() == list(range(24 - 1))
