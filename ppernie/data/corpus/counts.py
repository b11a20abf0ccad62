"""How often a corpus has each token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ppernie.data.corpus import Corpus

# Tokens that are counted at once.
_BLOCK = 1 << 22


def token_counts(corpus: Corpus, vocab_size: int, most_blocks: int | None = None) -> np.ndarray:
    """Counts int64 [vocab_size].

    Args:
        most_blocks: of 4 M tokens, evenly over the corpus, where it has more; None counts all of it.
    """
    counts = np.zeros(vocab_size, np.int64)
    starts = np.arange(0, len(corpus.tokens), _BLOCK)
    if most_blocks is not None and len(starts) > most_blocks:
        starts = starts[np.linspace(0, len(starts) - 1, most_blocks).astype(np.int64)]
    for start in starts.tolist():
        counts += np.bincount(corpus.tokens[start : start + _BLOCK], minlength=vocab_size)
    return counts


def log_shares(counts: np.ndarray) -> np.ndarray:
    """Logarithms of each one's share of all, float32 of their shape; what never occurs counts as half a time."""
    smoothed = counts + np.where(counts == 0, 0.5, 0.0)
    return np.log(smoothed / smoothed.sum()).astype(np.float32)
