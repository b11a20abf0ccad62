"""Units against a search over all ways to cut a text."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from model_zoo.ernie_gram.pretraining.segmentation import segment
from ppernie.data.corpus.lexicon import Lexicon
from ppernie.data.tokenizers import ErnieTokenizer


def ids(letters: ErnieTokenizer, text: str) -> np.ndarray:
    return np.array([letters.token_to_id(letter) for letter in text], np.int64)


def cuts(tokens: tuple[int, ...], begins: tuple[bool, ...], known: set[tuple[int, ...]]) -> Iterator[list[int]]:
    """The sizes of the units, for every way to cut."""
    if not tokens:
        yield []
    for size in range(1, len(tokens) + 1):
        if (size == 1 or tokens[:size] in known) and not any(begins[1:size]):
            for rest in cuts(tokens[size:], begins[size:], known):
                yield [size, *rest]


def test_the_fewest_units_and_of_those_the_longest_first(make_lexicon: Callable[..., Lexicon]) -> None:
    rng = np.random.default_rng(0)
    words = ["".join(w) for n in (2, 3, 4) for w in itertools.product("abc", repeat=n)]
    for _ in range(60):
        lexicon = make_lexicon(*rng.permutation(words)[:12], longest=4)
        known = {tuple(row) for table in lexicon.ngrams for row in table.tolist()}
        tokens = rng.integers(5, 8, rng.integers(1, 11))
        begins = rng.random(len(tokens)) < 0.2
        units = segment(tokens, begins, lexicon)
        ways = list(cuts(tuple(tokens.tolist()), tuple(begins.tolist()), known))
        best = max(ways, key=lambda sizes: (-len(sizes), sizes))
        assert units.sizes.tolist() == best


def test_the_units_are_the_text(make_lexicon: Callable[..., Lexicon]) -> None:
    rng = np.random.default_rng(1)
    lexicon = make_lexicon("ab", "bc", "abc", "cab", "aa")
    tokens = rng.integers(5, 9, 500)
    units = segment(tokens, np.zeros(500, bool), lexicon)
    spelt = [
        [identity] if identity < lexicon.vocab_size else lexicon[identity - lexicon.vocab_size].tolist()
        for identity in units.identities.tolist()
    ]
    assert [token for unit in spelt for token in unit] == tokens.tolist()
    assert [len(unit) for unit in spelt] == units.sizes.tolist()
    assert (units.sizes > 1).sum() > 50


@pytest.mark.parametrize(
    ("words", "text", "sizes"),
    [
        (["ab", "bc"], "abc", [2, 1]),
        (["ab", "bcd"], "abcd", [1, 3]),  # two units, where the longest match first gives three
        (["ab", "cd", "bc"], "abcd", [2, 2]),
        ([], "abc", [1, 1, 1]),
    ],
)
def test_by_hand(
    words: list[str], text: str, sizes: list[int], letters: ErnieTokenizer, make_lexicon: Callable[..., Lexicon]
) -> None:
    units = segment(ids(letters, text), np.zeros(len(text), bool), make_lexicon(*words))
    assert units.sizes.tolist() == sizes


def test_no_unit_reaches_across_sentences(letters: ErnieTokenizer, make_lexicon: Callable[..., Lexicon]) -> None:
    begins = np.array([True, False, True, False])
    assert segment(ids(letters, "abab"), begins, make_lexicon("ab", "ba", "aba")).sizes.tolist() == [2, 2]
    assert segment(ids(letters, "taba"), begins, make_lexicon("tab", "ba")).sizes.tolist() == [1, 1, 2]
