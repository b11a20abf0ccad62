"""Which tokens are hidden, against loops over tokens."""

from __future__ import annotations

from collections import Counter
from math import ceil, exp, factorial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from model_zoo.glm.pretraining.spans import LONGEST_SPAN, RandomSpans, cumulated_lengths, random_sentences


def poisson(mean: float) -> list[float]:
    weights = [exp(-mean) * mean**k / factorial(k) for k in range(1, LONGEST_SPAN + 1)]
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize("mean", [0.5, 3.0, 20.0])
def test_lengths_are_poisson_from_1_to_39(mean: float) -> None:
    np.testing.assert_allclose(np.diff(cumulated_lengths(mean), prepend=0), poisson(mean), rtol=1e-9, atol=1e-12)


def drawn_one_by_one(available: int, room: int, rate: float, draws: np.ndarray) -> tuple[int, list[int]]:
    """Length of the text and sizes of the spans: one more span until they are enough of what fits beside them."""
    weights, sizes = poisson(3.0), []
    for draw in draws:
        size = next((k for k in range(1, LONGEST_SPAN + 1) if draw < sum(weights[:k])), LONGEST_SPAN)
        sizes.append(min(size, max(min(available, room) // 4, 1)))
        length = min(available, room - 2 * len(sizes))
        if sum(sizes) >= rate * length:
            return length, sizes
    raise AssertionError


@pytest.mark.parametrize(("available", "room"), [(600, 512), (512, 512), (100, 512), (40, 32), (8, 8), (9, 500)])
def test_spans_are_drawn_until_they_are_enough(available: int, room: int) -> None:
    draw = RandomSpans(0.15, 3.0)
    for seed in range(100):
        length, starts, sizes = draw(available, room, np.random.default_rng(seed))
        first = np.random.default_rng(seed).random(ceil(0.15 * room))
        assert (length, sizes.tolist()) == drawn_one_by_one(available, room, 0.15, first)
        # In order, inside, and with a token between two.
        assert starts[0] >= 0 and starts[-1] + sizes[-1] <= length
        assert (starts[1:] > (starts + sizes)[:-1]).all()
        if available >= room:
            assert length + 2 * len(sizes) == room


@pytest.mark.parametrize("rate", [0.01, 0.25])
def test_spans_of_every_rate_have_room(rate: float) -> None:
    draw = RandomSpans(rate, 3.0)
    for seed in range(2000):
        rng = np.random.default_rng(seed)
        room = int(rng.integers(8, 80))
        length, starts, sizes = draw(int(rng.integers(8, 80)), room, rng)
        assert sizes.sum() >= rate * length and length + 2 * len(sizes) <= room


def test_every_place_is_as_likely() -> None:
    """Spans of 2 and 1 tokens in a text of 10 have 7 others and so 8 gaps, of which 28 pairs can be chosen."""
    draw = RandomSpans(0.25, 3.0)
    rng = np.random.default_rng(0)
    two_and_one = np.asarray([cumulated_lengths(3.0)[0] + 0.01, 0.01, 0.01])
    fixed: Any = SimpleNamespace(random=lambda size: np.resize(two_and_one, size), choice=rng.choice)
    found = Counter(tuple(draw(10, 14, fixed).starts.tolist()) for _ in range(5600))
    assert len(found) == 28
    assert all(130 < count < 270 for count in found.values())


def test_a_single_span() -> None:
    draw = RandomSpans(0.15, 3.0)
    sizes = Counter()
    for seed in range(4000):
        length, _, found = draw(600, 512, np.random.default_rng(seed), single=True)
        assert length == 510 and len(found) == 1
        sizes[int(found[0])] += 1
    for size, share in enumerate(poisson(3.0)[:8], 1):
        assert sizes[size] / 4000 == pytest.approx(share, abs=0.035)


def test_sentences_until_they_are_enough() -> None:
    starts, sizes = np.asarray([0, 10, 15, 40, 41]), np.asarray([10, 5, 25, 1, 9])
    seen = set()
    for seed in range(200):
        order = np.random.default_rng(seed).permutation(5)
        chosen: list[int] = []
        while len(chosen) < 3 and sum(sizes[chosen]) < 0.3 * 50:
            chosen.append(int(order[len(chosen)]))
        found = random_sentences(50, starts, sizes, 0.3, 3, np.random.default_rng(seed))
        assert found.length == 50
        assert list(zip(found.starts, found.sizes, strict=True)) == [(starts[i], sizes[i]) for i in sorted(chosen)]
        seen.add(tuple(sorted(chosen)))
    assert len(seen) > 8 and max(map(len, seen)) == 3
