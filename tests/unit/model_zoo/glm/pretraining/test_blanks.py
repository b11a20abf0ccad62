"""Samples with blanks, against what a loop over tokens makes of the same text."""

from __future__ import annotations

import numpy as np
import pytest

from model_zoo.glm.pretraining.blanks import Blanks, Sample
from model_zoo.glm.pretraining.spans import Spans
from ppernie.data.tokenizers import GlmTokenizer

ROWS = pytest.mark.parametrize("rows", [1, 2])


def equal(sample: Sample, tokens: list[int], positions: list[tuple[int, int]], labels: list[int], rows: int) -> None:
    assert sample.tokens.tolist() == tokens
    assert sample.labels.tolist() == labels
    assert sample.positions.T.tolist() == [list(both[:rows]) for both in positions]
    assert all(array.dtype == np.int64 for array in sample)


@ROWS
def test_spans_against_a_loop(rows: int, letters: GlmTokenizer) -> None:
    blanks = Blanks(letters, rows)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        text, starts, sizes, place = [], [], [], 0
        while len(starts) < 1 + seed % 5:
            starts.append(place + int(rng.integers(1 if starts else 0, 4)))
            sizes.append(int(rng.integers(1, 6)))
            place = starts[-1] + sizes[-1]
        text = rng.integers(10, 99, place + int(rng.integers(3))).tolist()
        # One token at a time: a span's first token becomes the mask, its others go.
        tokens, positions, mask_of, index = [], [], {}, 0
        while index < len(text):
            positions.append((len(tokens), 0))
            if index in starts:
                mask_of[index] = len(tokens)
                tokens.append(letters.mask_id)
                index += sizes[starts.index(index)]
            else:
                tokens.append(text[index])
                index += 1
        labels: list[int] = []
        for number in np.random.default_rng(seed).permutation(len(starts)).tolist():
            start, size = starts[number], sizes[number]
            tokens += [letters.sop_id, *text[start : start + size]]
            labels += [*text[start : start + size], letters.eop_id]
            positions += [(mask_of[start], place) for place in range(1, size + 2)]
        spans = Spans(len(text), np.asarray(starts), np.asarray(sizes))
        sample = blanks.spans(np.asarray(text), spans, letters.mask_id, np.random.default_rng(seed))
        equal(sample, tokens, positions, labels, rows)
        assert sample.context == len(text) - sum(sizes) + len(sizes)


@ROWS
def test_an_example(rows: int, letters: GlmTokenizer) -> None:
    """x1 x2 x3 x4 x5 x6 with x3 and x5 x6 hidden, the example of arXiv:2103.10360, figure 2."""
    sop, eop, mask = letters.sop_id, letters.eop_id, letters.mask_id
    spans, text = Spans(6, np.asarray([2, 4]), np.asarray([1, 2])), np.asarray([11, 12, 13, 14, 15, 16])
    orders = {}
    for seed in range(8):
        sample = Blanks(letters, rows).spans(text, spans, mask, np.random.default_rng(seed))
        orders[tuple(sample.labels.tolist())] = sample
    assert orders.keys() == {(15, 16, eop, 13, eop), (13, eop, 15, 16, eop)}
    equal(
        orders[15, 16, eop, 13, eop],
        [11, 12, mask, 14, mask, sop, 15, 16, sop, 13],
        [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (4, 1), (4, 2), (4, 3), (2, 1), (2, 2)],
        [15, 16, eop, 13, eop],
        rows,
    )


def test_positions_go_on_behind_gmask(letters: GlmTokenizer) -> None:
    text = np.asarray([11, 12, 13, 14, 15])
    tokens, labels = [11, 12, letters.gmask_id, letters.sop_id, 13, 14], [13, 14, 15]
    equal(Blanks(letters, 1).ending(text, 2), tokens, [(n, 0) for n in range(6)], labels, 1)
    places = [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (2, 3)]
    equal(Blanks(letters, 2).ending(text, 2), tokens, places, labels, 2)


@ROWS
def test_a_target_stands_at_its_mask(rows: int, letters: GlmTokenizer) -> None:
    target = [13, 14, letters.eop_id]
    places = [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (2, 3)]
    sample = Blanks(letters, rows).target(np.asarray([11, 12]), np.asarray(target))
    equal(sample, [11, 12, letters.mask_id, letters.sop_id, 13, 14], places, target, rows)
