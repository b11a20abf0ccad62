"""Which tokens of a text are hidden: random spans under [MASK], or whole sentences under [sMASK]."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np

# In tokens; the Poisson distribution ends there and is normalised again.
LONGEST_SPAN = 39
# Beside its hidden tokens a span takes its mask in the context and the token that begins its answer.
EXTRA_TOKENS = 2


class Spans(NamedTuple):
    """Of the first ``length`` tokens of a text, in order: int64 [spans] each."""

    length: int
    starts: np.ndarray
    sizes: np.ndarray


def cumulated_lengths(mean: float) -> np.ndarray:
    """P(a span has at most k tokens) for k = 1 ... ``LONGEST_SPAN``, Poisson without 0, float64."""
    cumulated = np.cumsum(np.cumprod(mean / np.arange(1, LONGEST_SPAN + 1)))
    return cumulated / cumulated[-1]


class RandomSpans:
    """Spans of Poisson lengths, drawn until they hide a share of the text, anywhere but side by side.

    Args:
        rate: the share, at most 0.25.
        mean: of the lengths, before 0 and what is longer than ``LONGEST_SPAN`` are left out.
    """

    def __init__(self, rate: float, mean: float) -> None:
        self._rate, self._cumulated = rate, cumulated_lengths(mean)

    def __call__(self, available: int, room: int, rng: np.random.Generator, *, single: bool = False) -> Spans:
        """Spans, and the tokens of the text that fill a sample of ``room`` tokens with so many of them.

        Args:
            available: tokens of the text, of which ``room - 2 n`` go in with n spans.
            single: hides one span alone, however little that is.
        """
        most = 1 if single else ceil(self._rate * room)
        sizes = 1 + np.searchsorted(self._cumulated, rng.random(most), side="right")
        # Texts of less than 160 tokens would be hidden nearly whole by the longest spans.
        sizes = np.minimum(sizes, max(min(available, room) // 4, 1))
        lengths = np.minimum(available, room - EXTRA_TOKENS * np.arange(1, most + 1))
        hidden = np.cumsum(sizes)
        count = 1 if single else 1 + int(np.argmax(hidden >= self._rate * lengths))
        length, sizes = int(lengths[count - 1]), sizes[:count]
        # Each span goes into another of the gaps before, between and after the tokens that are kept.
        kept = length - int(hidden[count - 1])
        gaps = np.sort(rng.choice(kept + 1, count, replace=False))
        return Spans(length, gaps + hidden[:count] - sizes, sizes)


def random_sentences(
    length: int, starts: np.ndarray, sizes: np.ndarray, rate: float, most: int, rng: np.random.Generator
) -> Spans:
    """Sentences in random order, until they hide a share ``rate`` of a text of ``length`` tokens, at most ``most``."""
    order = rng.permutation(len(starts))
    hidden = np.cumsum(sizes[order])
    count = min(1 + int(np.searchsorted(hidden, rate * length)), most)
    chosen = np.sort(order[:count])
    return Spans(length, starts[chosen], sizes[chosen])
