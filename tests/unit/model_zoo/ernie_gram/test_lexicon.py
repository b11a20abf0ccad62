"""The lexicon against counts by hand; its file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.data.corpus import lexicon as module
from ppernie.data.corpus.lexicon import Lexicon, build_lexicon, open_lexicon
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError

Sentences = list[list[int]]


def scores(sentences: Sentences, n: int, special: set[int]) -> dict[tuple[int, ...], float]:
    """The formula, one n-gram at a time."""
    tokens = Counter(token for s in sentences for token in s if token not in special)
    grams = Counter(
        tuple(s[i : i + n]) for s in sentences for i in range(len(s) - n + 1) if not special & set(s[i : i + n])
    )
    total = sum(grams.values())
    found = {}
    for gram, count in grams.items():
        p, p0 = count / total, math.prod(tokens[t] / sum(tokens.values()) for t in gram)
        found[gram] = (p - p0) / math.sqrt(p * (1 - p) / total)
    return found


@pytest.fixture
def sentences(letters: ErnieTokenizer) -> Sentences:
    """Letters by chance, with some words strewn in, and unknown tokens."""
    rng = np.random.default_rng(0)
    words = [[5, 6], [7, 8, 9], [20, 21]]
    made: Sentences = []
    for _ in range(150):
        sentence: list[int] = []
        for _ in range(rng.integers(0, 9)):
            sentence += words[rng.integers(3)] if rng.random() < 0.3 else [int(rng.integers(4, letters.vocab_size))]
        made.append(sentence)
    return made


@pytest.mark.parametrize("block", [7, 1 << 22])
def test_against_the_formula(
    block: int, sentences: Sentences, letters: ErnieTokenizer, make_corpus: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    corpus = make_corpus([sentences[:40], sentences[40:]])
    built = build_lexicon(corpus, letters, [40, 20])
    for n, size in ((2, 40), (3, 20)):
        expected = scores(sentences, n, {letters.unk_id})
        best = sorted(expected, key=lambda gram: (-expected[gram], gram))[:size]
        assert len(best) == size
        assert expected[best[-1]] > 0
        assert [expected[tuple(gram)] for gram in built.ngrams[n - 2].tolist()] == pytest.approx(
            [expected[gram] for gram in best]
        )
    assert built.ngrams[1][0].tolist() == [7, 8, 9]
    assert len(built) == 60
    assert built[40].tolist() == [7, 8, 9]


def test_only_what_is_likelier_than_chance(letters: ErnieTokenizer, make_corpus: Any) -> None:
    corpus = make_corpus([[[5, 6]] * 30 + [[6, 5]] + [[5, 5], [6, 6]]])
    assert build_lexicon(corpus, letters, [10]).ngrams[0].tolist() == [[5, 6]]
    with pytest.raises(UserError, match="needs more text"):
        build_lexicon(make_corpus([[[5], [6], [7]]]), letters, [10, 10])


def test_neither_across_sentences_nor_with_special_tokens(letters: ErnieTokenizer, make_corpus: Any) -> None:
    sentence = [5, letters.unk_id, 6, 7]
    built = build_lexicon(make_corpus([[sentence] * 20, [sentence] * 20]), letters, [10, 10])
    assert [table.tolist() for table in built.ngrams] == [[[6, 7]], []]


def test_punctuation_is_in_no_unit(make_corpus: Any) -> None:
    tokenizer = ErnieTokenizer(["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "，", "应", "当", "##er", "-"])
    corpus = make_corpus([[[5, 6, 7]] * 20, [[6, 7, 8, 9]] * 20])
    assert build_lexicon(corpus, tokenizer, [10]).ngrams[0].tolist() == [[6, 7], [7, 8]]


def occurrences(lexicon: Lexicon, tokens: list[int]) -> Iterator[list[int]]:
    numbers = {tuple(lexicon[k]): k for k in range(len(lexicon))}
    for n in range(2, len(lexicon.ngrams) + 2):
        yield [numbers.get(tuple(tokens[i : i + n]), -1) if i + n <= len(tokens) else -1 for i in range(len(tokens))]


def test_find(make_lexicon: Callable[..., Lexicon]) -> None:
    rng = np.random.default_rng(0)
    lexicon = make_lexicon("ca", "ab", "bca", "bb", "aaa", "abc")
    for length in (0, 1, 2, 50):
        tokens = rng.integers(5, 8, length)
        assert lexicon.find(tokens).tolist() == list(occurrences(lexicon, tokens.tolist()))


def test_a_file_of_it(make_lexicon: Callable[..., Lexicon], letters: ErnieTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "new" / "lexicon.safetensors"
    saved = make_lexicon("ab", "ca", "bca")
    saved.save(path)
    opened = open_lexicon(path)
    opened.check(letters)
    assert [table.tolist() for table in opened.ngrams] == [table.tolist() for table in saved.ngrams]
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with pytest.raises(UserError, match="made with another tokenizer, of 25 tokens; this one has 26"):
        opened.check(ErnieTokenizer([*letters.tokens, "z"]))


def test_files_that_are_none(make_lexicon: Callable[..., Lexicon], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such lexicon"):
        open_lexicon(tmp_path / "absent")
    path = tmp_path / "lexicon"
    make_lexicon("ab", "bca").save(path)
    whole = path.read_bytes()
    for size in (0, 7, 40, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match="damaged"):
            open_lexicon(path)
    Lexicon((np.array([[5, 900]]),), 25, "").save(path)
    with pytest.raises(UserError, match="its 2-grams"):
        open_lexicon(path)


def test_n_grams_too_long_for_a_key(letters: ErnieTokenizer, make_corpus: Any) -> None:
    with pytest.raises(UserError, match="n-grams of 13 tokens are too long for a vocabulary of 25"):
        build_lexicon(make_corpus([[[5, 6]]]), letters, [1] * 12)
