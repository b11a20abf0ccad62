"""How often a corpus has each token, and what part of it that is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from ppernie.data.corpus import counts
from ppernie.data.corpus.counts import log_shares, token_counts


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Blocks of 0, 0, 0 | 1, 1, 1 | ... | 4, 4."""
    monkeypatch.setattr(counts, "_BLOCK", 3)
    return cast(Any, SimpleNamespace(tokens=np.repeat(np.arange(5, dtype=np.uint16), 3)[:-1]))


@pytest.mark.parametrize(
    ("most_blocks", "expected"),
    [(None, [3, 3, 3, 3, 2, 0]), (5, [3, 3, 3, 3, 2, 0]), (3, [3, 0, 3, 0, 2, 0]), (1, [3, 0, 0, 0, 0, 0])],
)
def test_a_large_corpus_is_counted_in_parts(most_blocks: int | None, expected: list[int], corpus: Any) -> None:
    assert token_counts(corpus, 6, most_blocks).tolist() == expected


def test_shares_add_up_to_one_and_none_is_zero() -> None:
    found = log_shares(np.array([3, 0, 6]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.exp(found), np.array([3, 0.5, 6]) / 9.5, rtol=1e-6)
