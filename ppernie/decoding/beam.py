"""Beam search for the likeliest text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import paddle

from ppernie.decoding.options import Decoding
from ppernie.decoding.sampling import allowed_scores, end_set, log_softmax, only

if TYPE_CHECKING:
    from ppernie.decoding.generate import Reader

# The tokens that may stand behind the new ones so far.
Following = Callable[[Sequence[int]], Sequence[int] | np.ndarray]


class _Beam(NamedTuple):
    """New tokens, the sum of their log-probabilities, and the row of the batch that read all but the last."""

    tokens: list[int]
    score: float
    row: int


class _Found:
    """The best texts of a search, and the rule that says which these are.

    By ``mean`` one text is kept, and the search has ended when none that goes on can become better, however long it
    gets. By ``gnmt`` (Wu et al. 2016, arXiv:1609.08144, section 7, as GLM-130B's code has it) as many are kept as there
    are beams, and it has ended when none that goes on would be among them if it ended here.
    """

    def __init__(self, options: Decoding, prompt: int, max_new_tokens: int) -> None:
        self._gnmt, self._penalty = options.beam_rule == "gnmt", options.length_penalty
        self._size = options.beams if self._gnmt else 1
        self._prompt, self._longest = prompt, max_new_tokens
        self._kept: list[tuple[float, list[int]]] = []

    def add(self, tokens: list[int], score: float, length: int) -> None:
        """A text of ``length`` new tokens with its end, ``tokens`` without; of equal ones the first is better."""
        value = self._value(score, length)
        self._kept.insert(bisect_right([-kept for kept, _ in self._kept], -value), (value, tokens))
        del self._kept[self._size :]

    def ended(self, score: float, length: int) -> bool:
        """Whether no text that begins with ``length`` new tokens of this sum is of use."""
        best = self._value(score, length if self._gnmt else self._longest)
        return len(self._kept) == self._size and self._kept[-1][0] >= best

    def texts(self) -> list[list[int]]:
        """What is kept, the best first."""
        return [tokens for _, tokens in self._kept]

    def _value(self, score: float, length: int) -> float:
        divisor = (5 + self._prompt + length) / 6 if self._gnmt else length
        return score / divisor**self._penalty


def beam_search(
    network: Reader,
    prompt: Sequence[int],
    options: Decoding,
    *,
    end_id: int | Sequence[int],
    max_new_tokens: int,
    following: Following | None = None,
) -> list[int]:
    """The best of ``beam_texts``."""
    found = beam_texts(network, prompt, options, end_id=end_id, max_new_tokens=max_new_tokens, following=following)
    return found[0] if found else []


@paddle.no_grad()
def beam_texts(
    network: Reader,
    prompt: Sequence[int],
    options: Decoding,
    *,
    end_id: int | Sequence[int],
    max_new_tokens: int,
    following: Following | None = None,
) -> list[list[int]]:
    """The text with the highest log-probability over its length (the end counted) as ``beam_rule`` says; by ``gnmt`` as
    many as there are beams, the best first.

    Only the ``beams`` likeliest beginnings of a length go on, so it need not be the highest of all. A text that
    reaches ``max_new_tokens`` stops there. With ``following``, only tokens that it names stand behind others; how
    likely they are is still among all of the vocabulary, but by ``gnmt`` among those that may come.
    """
    ends = end_set(end_id)
    found = _Found(options, len(prompt), max_new_tokens)
    logits, state = network.step(paddle.to_tensor([list(prompt)], dtype="int64"), network.start())
    beams = [_Beam([], 0.0, 0)]
    for length in range(1, max_new_tokens + 1):
        candidates = _continued(beams, logits.numpy(), options, sorted(ends), following)
        beams = []
        for beam in candidates:
            if beam.tokens[-1] in ends:
                found.add(beam.tokens[:-1], beam.score, length)
            elif len(beams) < options.beams:
                beams.append(beam)
            elif options.beam_rule == "gnmt":
                break
        if not beams or length == max_new_tokens or found.ended(beams[0].score, length):
            break
        state = network.select(state, paddle.to_tensor([beam.row for beam in beams], dtype="int64"))
        logits, state = network.step(paddle.to_tensor([[beam.tokens[-1]] for beam in beams], dtype="int64"), state)
    for beam in beams:
        found.add(beam.tokens, beam.score, length)
    return found.texts()


def _continued(
    beams: Sequence[_Beam], logits: np.ndarray, options: Decoding, ends: Sequence[int], following: Following | None
) -> list[_Beam]:
    """The likeliest beams that are one token longer: as many as go on, and as many again for each end."""
    renormalised = options.beam_rule == "gnmt"
    rows = []
    for beam, row in zip(beams, logits.astype(np.float64), strict=True):
        row = row if renormalised else log_softmax(row)
        row = allowed_scores(row, beam.tokens, options, ends)
        if following is not None:
            row = only(row, following(beam.tokens))
        rows.append(beam.score + (log_softmax(row) if renormalised else row))
    scores = np.stack(rows)
    order = np.argsort(-scores, axis=None, kind="stable")[: (1 + len(ends)) * options.beams]
    found = [(int(row), int(token)) for row, token in zip(*np.unravel_index(order, scores.shape), strict=True)]
    return [
        _Beam([*beams[row].tokens, token], float(scores[row, token]), row)
        for row, token in found
        if np.isfinite(scores[row, token])
    ]
