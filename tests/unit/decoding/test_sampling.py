"""The choice of a token against what its definition says, spelled out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pydantic import ValidationError

from ppernie.decoding.options import Decoding
from ppernie.decoding.sampling import allowed_scores, log_softmax, next_token, repeating, top_k, top_p


def probabilities(scores: np.ndarray) -> np.ndarray:
    return np.exp(log_softmax(scores))


def drawn(scores: np.ndarray, count: int = 4000, **options: object) -> np.ndarray:
    """Shares of the tokens in so many draws."""
    decoding, rng = Decoding(strategy="sample", **options), np.random.default_rng(0)
    tokens = [next_token(scores, decoding, rng) for _ in range(count)]
    return np.bincount(tokens, minlength=len(scores)) / count


def test_top_k_keeps_the_highest() -> None:
    scores = np.asarray([0.5, 2.0, -1.0, 2.0, 1.0])
    assert np.flatnonzero(np.isfinite(top_k(scores, 2))).tolist() == [1, 3]
    assert np.flatnonzero(np.isfinite(top_k(scores, 3))).tolist() == [1, 3, 4]
    np.testing.assert_array_equal(top_k(scores, 9), scores)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.999])
def test_top_p_keeps_the_smallest_set_that_reaches_the_share(share: float) -> None:
    scores = np.random.default_rng(1).normal(size=6)
    p = probabilities(scores)
    sets = [s for n in range(1, 7) for s in itertools.combinations(range(6), n) if p[list(s)].sum() >= share]
    smallest = min(map(len, sets))
    likeliest = max((s for s in sets if len(s) == smallest), key=lambda s: p[list(s)].sum())
    assert set(np.flatnonzero(np.isfinite(top_p(scores, share)))) == set(likeliest)


def test_no_run_of_tokens_comes_twice() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        tokens, size = rng.integers(0, 3, rng.integers(0, 9)).tolist(), int(rng.integers(1, 4))
        runs = [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]
        last = len(tokens) - size + 1
        expected = {t for t in range(3) if last >= 0 and (*tokens[last:], t)[-size:] in runs}
        assert set(repeating(tokens, size)) == expected, (tokens, size)


def test_a_text_does_not_end_too_early() -> None:
    options = Decoding(min_new_tokens=2)
    scores = np.asarray([0.0, 5.0, 1.0], dtype=np.float32)
    assert [int(allowed_scores(scores, [0] * n, options, 1).argmax()) for n in range(4)] == [2, 2, 1, 1]
    assert scores[1] == 5.0


def test_draws_follow_the_probabilities() -> None:
    scores = np.asarray([1.0, 0.0, 2.0, -1.0])
    np.testing.assert_allclose(drawn(scores), probabilities(scores), atol=0.03)
    np.testing.assert_allclose(drawn(scores, temperature=2.0), probabilities(scores / 2), atol=0.03)
    np.testing.assert_allclose(drawn(scores, top_k=2), probabilities(top_k(scores, 2)), atol=0.03)
    # The temperature comes first: at 4 the two likeliest no longer have 0.85 of the sum.
    assert (drawn(scores, top_p=0.85)[:2] > 0).tolist() == [True, False]
    assert (drawn(scores, top_p=0.85, temperature=4.0)[:2] > 0).tolist() == [True, True]


def test_greedy_takes_the_first_of_the_likeliest() -> None:
    rng = np.random.default_rng(0)
    assert next_token(np.asarray([1.0, 3.0, 3.0]), Decoding(), rng) == 1


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"top_p": 0.0}, {"top_k": 0}, {"strategy": "best"}, {"k": 3}])
def test_senseless_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Decoding(**wrong)
