"""A beam that writes stretches of a text, against the scores of them all."""

from __future__ import annotations

import numpy as np
import pytest

from ppernie.decoding.beam import beam_search
from ppernie.decoding.options import Decoding
from ppernie.decoding.spans import SpansOf

from .test_generate import END, PROMPTS, Table, log_probability

# With repeated beginnings, and the end inside.
CONTEXTS = [[1, 2, 1, 3, 2, 1, 2, 2], [3], [2, 2, END, 1, 3], [3, 1, 2, 3, 1, 1, 3, 1, 2, 2]]


def search(prompt: list[int], context: list[int], beams: int, longest: int) -> list[int]:
    options = Decoding(strategy="beam", beams=beams, min_new_tokens=1)
    return beam_search(Table(), prompt, options, end_id=END, max_new_tokens=longest, following=SpansOf(context, END))


def stretches(context: list[int], longest: int) -> list[tuple[int, ...]]:
    pairs = [(a, b) for a in range(len(context)) for b in range(a + 1, min(a + longest, len(context)) + 1)]
    return [tuple(context[a:b]) for a, b in pairs if END not in context[a:b]]


def value(prompt: list[int], span: tuple[int, ...], longest: int) -> float:
    """Mean log-probability; the end counts, where there is room for it."""
    written = span if len(span) == longest else (*span, END)
    return log_probability(prompt, written) / len(written)


@pytest.mark.parametrize("longest", [1, 3, 12])
def test_a_wide_beam_finds_the_likeliest_of_all_stretches(longest: int) -> None:
    different = 0
    for prompt in PROMPTS:
        for context in CONTEXTS:
            best = max(stretches(context, longest), key=lambda span: value(prompt, span, longest))
            assert search(prompt, context, 64, longest) == list(best)
            free = beam_search(Table(), prompt, Decoding(strategy="beam", beams=64), end_id=END, max_new_tokens=longest)
            different += free != list(best)
    assert different


def test_a_narrow_beam_writes_a_stretch_too() -> None:
    for prompt in PROMPTS:
        for context in CONTEXTS:
            assert tuple(search(prompt, context, 1, 4)) in stretches(context, 4)


def test_what_may_follow_is_what_follows_somewhere() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        context = rng.integers(1, 4, size=8).tolist()
        following = SpansOf(context, END)
        for length in range(4):
            for start in range(len(context) - length + 1):
                begun = context[start : start + length]
                places = [n for n in range(len(context) - length + 1) if context[n : n + length] == begun]
                behind = {context[n + length] for n in places if n + length < len(context)}
                assert following(begun) == sorted(behind | {END})
    assert SpansOf([1, 2], END)([2, 1]) == [END]
