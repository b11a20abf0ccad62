"""Inputs, positions, targets and masks against loops over units and tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model_zoo.ernie_gram.pretraining.data import choose_units, collate, mask_tokens, mask_units, query_tokens
from model_zoo.ernie_gram.pretraining.segmentation import Units, segment
from ppernie.data.corpus.lexicon import Lexicon
from ppernie.data.tokenizers import ErnieTokenizer

Sample = tuple[np.ndarray, Units, np.ndarray]


@pytest.fixture
def sample(make_lexicon: Callable[..., Lexicon]) -> Callable[[int], Sample]:
    """Tokens, units and chosen units of a seed."""

    def draw(seed: int) -> Sample:
        rng = np.random.default_rng(seed)
        tokens = rng.integers(5, 9, rng.integers(1, 30))
        units = segment(tokens, rng.random(len(tokens)) < 0.1, make_lexicon("ab", "bc", "abc", "cab", "dd"))
        return tokens, units, choose_units(len(units.starts), 0.4, rng)

    return draw


def test_the_example_of_the_paper(letters: ErnieTokenizer, make_lexicon: Callable[..., Lexicon]) -> None:
    lexicon = make_lexicon("bc")
    tokens = np.array([letters.token_to_id(letter) for letter in "abcdef"])
    units = segment(tokens, np.zeros(6, bool), lexicon)
    chosen = np.array([1, 3])
    masked = mask_units(tokens, units, chosen, letters)
    cls, sep, mask = letters.cls_id, letters.sep_id, letters.mask_id
    a, b, c, d, e, f = tokens.tolist()
    assert masked["input_ids"].tolist() == [cls, a, mask, d, mask, f, sep]
    assert masked["position_ids"].tolist() == [0, 1, 2, 4, 5, 6, 7]
    assert masked["masked_positions"].tolist() == [2, 4]
    assert masked["identities"].tolist() == [letters.vocab_size, e]
    queries = query_tokens(tokens, units, chosen)
    assert queries["query_ids"].tolist() == [1, 2, 1]
    assert queries["query_position_ids"].tolist() == [2, 3, 5]
    assert queries["tokens"].tolist() == [b, c, e]
    contiguous = mask_tokens(tokens, units, chosen, letters)
    assert contiguous["input_ids"].tolist() == [cls, a, mask, mask, d, mask, f, sep]
    assert contiguous["masked_positions"].tolist() == [2, 3, 5]
    assert contiguous["tokens"].tolist() == [b, c, e]


def by_loops(tokens: np.ndarray, units: Units, chosen: np.ndarray, letters: ErnieTokenizer) -> dict[str, list[int]]:
    """All features, one unit and one token at a time; ``contiguous_ids`` are the inputs of contiguous masking."""
    out: dict[str, list[int]] = {
        "input_ids": [letters.cls_id],
        "position_ids": [0],
        "masked_positions": [],
        "identities": [],
        "query_ids": [],
        "query_position_ids": [],
        "tokens": [],
        "contiguous_ids": [letters.cls_id],
    }
    at = 1
    for index, (size, identity) in enumerate(zip(units.sizes, units.identities, strict=True)):
        if index in chosen:
            out["masked_positions"].append(len(out["input_ids"]))
            out["input_ids"].append(letters.mask_id)
            out["position_ids"].append(at)
            out["identities"].append(int(identity))
        for place in range(1, size + 1):
            token = int(tokens[at - 1])
            if index in chosen:
                out["query_ids"].append(place)
                out["query_position_ids"].append(at)
                out["tokens"].append(token)
                out["contiguous_ids"].append(letters.mask_id)
            else:
                out["input_ids"].append(token)
                out["position_ids"].append(at)
                out["contiguous_ids"].append(token)
            at += 1
    out["input_ids"].append(letters.sep_id)
    out["position_ids"].append(at)
    out["contiguous_ids"].append(letters.sep_id)
    return out


@pytest.mark.parametrize("seed", range(20))
def test_against_loops(seed: int, sample: Callable[[int], Sample], letters: ErnieTokenizer) -> None:
    tokens, units, chosen = sample(seed)
    expected = by_loops(tokens, units, chosen, letters)
    features = mask_units(tokens, units, chosen, letters) | query_tokens(tokens, units, chosen)
    assert {name: array.tolist() for name, array in features.items()} == {
        name: values for name, values in expected.items() if name != "contiguous_ids"
    }
    contiguous = mask_tokens(tokens, units, chosen, letters)
    assert contiguous["input_ids"].tolist() == expected["contiguous_ids"]
    assert contiguous["masked_positions"].tolist() == expected["query_position_ids"]
    assert contiguous["tokens"].tolist() == expected["tokens"]


def test_the_share_of_units() -> None:
    rng = np.random.default_rng(0)
    assert len(choose_units(200, 0.15, rng)) == 30
    assert len(choose_units(1, 0.15, rng)) == 1
    counts = np.zeros(20)
    for _ in range(2000):
        chosen = choose_units(20, 0.15, rng)
        assert (np.diff(chosen) > 0).all()
        counts[chosen] += 1
    assert np.abs(counts / 2000 - 0.15).max() < 0.04


def test_a_batch(sample: Callable[[int], Sample], letters: ErnieTokenizer) -> None:
    rows = [mask_units(*sample(seed), letters) | query_tokens(*sample(seed)) for seed in range(5)]
    batch = collate(rows, letters)
    length = max(len(row["input_ids"]) for row in rows)
    queries = max(len(row["query_ids"]) for row in rows)
    assert batch["input_ids"].shape == batch["position_ids"].shape == (5, length + queries)
    text, asked = batch["input_ids"][:, :length], batch["input_ids"][:, length:]
    for index, row in enumerate(rows):
        size, count = len(row["input_ids"]), len(row["query_ids"])
        assert text[index].tolist() == row["input_ids"].tolist() + [letters.pad_id] * (length - size)
        assert asked[index].tolist() == [letters.mask_id] * count + [letters.pad_id] * (queries - count)
        assert batch["position_ids"][index, length : length + count].tolist() == row["query_position_ids"].tolist()
        assert batch["query_ids"][index].tolist() == row["query_ids"].tolist() + [0] * (queries - count)
    assert (text.flatten()[batch["masked_positions"]] == letters.mask_id).all()
    assert len(batch["masked_positions"]) == len(batch["identities"]) == (text == letters.mask_id).sum()
    assert len(batch["query_positions"]) == len(batch["tokens"]) == (asked == letters.mask_id).sum()
    assert batch["query_ids"].flatten()[batch["query_positions"]].min() > 0


def test_a_batch_without_queries(sample: Callable[[int], Sample], letters: ErnieTokenizer) -> None:
    rows: list[Any] = [mask_tokens(*sample(seed), letters) for seed in range(5)]
    batch = collate(rows, letters)
    assert batch.keys() == {"input_ids", "masked_positions", "tokens"}
    assert (batch["input_ids"].flatten()[batch["masked_positions"]] == letters.mask_id).all()
