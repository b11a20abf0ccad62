"""What texts lose, each rule beside the same rule character by character or sentence by sentence."""

from __future__ import annotations

import hashlib
import random
from itertools import groupby
from pathlib import Path

import pytest

from ppernie.data.corpus.cleaning import (
    LONGEST_REPEAT,
    LONGEST_SENTENCE,
    Longest,
    Repeats,
    collapse_characters,
    split_sentences,
)


def _collapsed(text: str) -> str:
    kept = ""
    for character, run in groupby(text):
        count = len(list(run))
        if character.isdigit() or (character.isalpha() and count < 4):
            kept += character * count
        else:
            kept += character
    return kept


def test_repeated_characters() -> None:
    rng = random.Random(0)
    for _ in range(3000):
        text = "".join(c * rng.choice([1, 1, 2, 3, 4, 7]) for c in rng.choices("ab天。,! 1_…é", k=8))
        assert collapse_characters(text) == _collapsed(text)
    assert collapse_characters("book 1000 天天 哈哈哈哈！！！") == "book 1000 天天 哈！"


def _without_repeats(sentences: list[str]) -> list[str]:
    kept: list[str] = []
    for sentence in sentences:
        kept.append(sentence)
        for run in range(1, LONGEST_REPEAT + 1):
            if len(kept) >= 2 * run and kept[-run:] == kept[-2 * run : -run]:
                del kept[-run:]
                break
    return kept


def test_repeated_paragraphs() -> None:
    rng = random.Random(0)
    documents = [[rng.choice(letters) for _ in range(600)] for letters in ("ab", "abcde", "abcdefghijklmnop")]
    for run in (1, 2, 98, 99, 100, 150):
        unit = [f"{run} {n}" for n in range(run)]
        documents.append(["x", *unit * 7, "y", *unit, *unit[: run // 2]])
    for sentences in documents:
        repeats = Repeats()
        expected = _without_repeats(sentences)
        assert list(repeats.collapse(iter(sentences))) == expected
        assert repeats.dropped == len(sentences) - len(expected)
    # 100 sentences and more are no repetition by mistake.
    assert len(_without_repeats([str(n % 99) for n in range(990)])) == 99
    assert len(list(Repeats().collapse(str(n % 100) for n in range(1000)))) == 1000


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("他来了。“走吧！”她说。", ["他来了。", "“走吧！”", "她说。"]),
        ("真的？！是的……好。", ["真的？！", "是的……", "好。"]),
        (
            "Mr. Smith met J. Jones at 3.5 p.m. today. He left.",
            ["Mr. Smith met J. Jones at 3.5 p.m. today.", "He left."],
        ),
        ('"Stop!" he said. "Why?" She ran.', ['"Stop!"', "he said.", '"Why?"', "She ran."]),
        ("a\tb \n c", ["a b c"]),
        ("x" * (LONGEST_SENTENCE + 1), ["x" * LONGEST_SENTENCE, "x"]),
    ],
)
def test_sentences_of_both_languages(text: str, sentences: list[str]) -> None:
    assert list(split_sentences(text)) == sentences


def test_sentences_hold_all_of_a_text(shared_data: Path) -> None:
    for path in ("classical_novels_zh/红楼梦.txt", "english_text/gutenberg/carroll-alice.txt"):
        text = (shared_data / path).read_text(encoding="utf-8")
        sentences = list(split_sentences(text))
        assert len(sentences) > 500
        assert "".join("".join(sentences).split()) == "".join(text.split())


def test_the_three_longest_sentences_tell_a_document() -> None:
    rng = random.Random(0)
    for _ in range(200):
        sentences = ["天" * rng.randrange(1, 8) + str(n) for n in range(rng.randrange(1, 9))]
        longest = Longest()
        for sentence in sentences:
            longest.add(sentence)
        three = sorted(sentences, key=len, reverse=True)[:3]
        digests = (hashlib.md5(s.encode()).digest() for s in three)
        assert longest.digest() == sum(int.from_bytes(d, "little") for d in digests) % 2**64
