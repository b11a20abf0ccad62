"""Beam search for the likeliest text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import paddle

from ppernie.decoding.options import Decoding
from ppernie.decoding.sampling import allowed_scores, log_softmax

if TYPE_CHECKING:
    from ppernie.decoding.generate import Reader


class _Beam(NamedTuple):
    """New tokens, the sum of their log-probabilities, and the row of the batch that read all but the last."""

    tokens: list[int]
    score: float
    row: int


@paddle.no_grad()
def beam_search(
    network: Reader, prompt: Sequence[int], options: Decoding, *, end_id: int, max_new_tokens: int
) -> list[int]:
    """The text with the highest log-probability over its length (the end counted) to the power ``length_penalty``.

    Only the ``beams`` likeliest beginnings of a length go on, so it need not be the highest of all. A text that
    reaches ``max_new_tokens`` stops there.
    """

    def normalised(score: float, length: int) -> float:
        return score / length**options.length_penalty

    logits, state = network.step(paddle.to_tensor([list(prompt)], dtype="int64"), network.start())
    beams, best, best_score = [_Beam([], 0.0, 0)], [], -np.inf
    for length in range(1, max_new_tokens + 1):
        beams = _continued(beams, logits.numpy(), options, end_id)
        for beam in beams:
            ended = beam.tokens[-1] == end_id
            if (ended or length == max_new_tokens) and (score := normalised(beam.score, length)) > best_score:
                best, best_score = beam.tokens[: len(beam.tokens) - ended], score
        beams = [beam for beam in beams if beam.tokens[-1] != end_id][: options.beams]
        # Sums only fall, and no length divides them by more than the longest.
        if not beams or length == max_new_tokens or normalised(beams[0].score, max_new_tokens) <= best_score:
            break
        state = network.select(state, paddle.to_tensor([beam.row for beam in beams], dtype="int64"))
        logits, state = network.step(paddle.to_tensor([[beam.tokens[-1]] for beam in beams], dtype="int64"), state)
    return best


def _continued(beams: Sequence[_Beam], logits: np.ndarray, options: Decoding, end_id: int) -> list[_Beam]:
    """The likeliest beams that are one token longer: twice as many as go on, for as many of them may end here."""
    scores = np.stack(
        [
            beam.score + allowed_scores(log_softmax(row.astype(np.float64)), beam.tokens, options, end_id)
            for beam, row in zip(beams, logits, strict=True)
        ]
    )
    order = np.argsort(-scores, axis=None, kind="stable")[: 2 * options.beams]
    found = [(int(row), int(token)) for row, token in zip(*np.unravel_index(order, scores.shape), strict=True)]
    return [
        _Beam([*beams[row].tokens, token], float(scores[row, token]), row)
        for row, token in found
        if np.isfinite(scores[row, token])
    ]
