"""From a network's scores for the next token to a token, with numpy alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppernie.decoding.options import Decoding
from ppernie.errors import UserError


def allowed_scores(
    scores: np.ndarray, tokens: Sequence[int], options: Decoding, end_id: int | Sequence[int]
) -> np.ndarray:
    """The scores [vocab] as float64, -inf for tokens that may not follow ``tokens``, the new ones so far.

    Args:
        end_id: what ends a text, one token or several.

    Raises:
        UserError: a banned token lies outside the vocabulary.
    """
    scores = scores.astype(np.float64)
    if options.banned_ids:
        if max(options.banned_ids) >= len(scores):
            raise UserError(
                f"banned_ids: {max(options.banned_ids)} is no token of a vocabulary of {len(scores)}; leave it out"
            )
        scores[options.banned_ids] = -np.inf
    if options.no_repeat_ngram is not None:
        scores[repeating(tokens, options.no_repeat_ngram)] = -np.inf
    if len(tokens) < options.min_new_tokens:
        scores[end_id] = -np.inf
    return scores


def repeating(tokens: Sequence[int], size: int) -> list[int]:
    """What would complete a run of ``size`` tokens that occurred before."""
    begun = tuple(tokens[len(tokens) - size + 1 :])
    starts = range(len(tokens) - size + 1)
    return [tokens[start + size - 1] for start in starts if tuple(tokens[start : start + size - 1]) == begun]


def top_k(scores: np.ndarray, count: int) -> np.ndarray:
    """-inf for all but the ``count`` highest scores; of equal ones the first stay."""
    kept = np.argsort(-scores, kind="stable")[:count]
    return only(scores, kept)


def top_p(scores: np.ndarray, share: float) -> np.ndarray:
    """-inf for all but the fewest tokens whose probabilities sum to ``share`` (Holtzman et al. 2020, section 3.1)."""
    order = np.argsort(-scores, kind="stable")
    reached = np.cumsum(np.exp(log_softmax(scores))[order])
    return only(scores, order[: int(np.searchsorted(reached, share)) + 1])


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities over the last dimension."""
    shifted = scores - scores.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def next_token(scores: np.ndarray, options: Decoding, rng: np.random.Generator) -> int:
    """The likeliest token or, of ``sample``, a random one; ``scores`` are ``allowed_scores``'s."""
    if options.strategy != "sample":
        return int(scores.argmax())
    scores = scores / options.temperature
    if options.top_k is not None:
        scores = top_k(scores, options.top_k)
    if options.top_p < 1:
        scores = top_p(scores, options.top_p)
    return int(rng.choice(len(scores), p=np.exp(log_softmax(scores))))


def only(scores: np.ndarray, kept: Sequence[int] | np.ndarray) -> np.ndarray:
    """-inf for all but the scores of the tokens ``kept``."""
    rest = np.full_like(scores, -np.inf)
    rest[kept] = scores[kept]
    return rest


def end_set(end_id: int | Sequence[int]) -> frozenset[int]:
    """The tokens that end a text, given as one or several."""
    return frozenset([end_id] if isinstance(end_id, int) else end_id)
