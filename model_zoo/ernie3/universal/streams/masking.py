"""Knowledge masking (ERNIE 1.0, arXiv:1904.09223, section 3.2): words and named entities are hidden whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ppernie.data.tokenizers import Tokenizer


def span_starts(words: np.ndarray, entities: np.ndarray) -> np.ndarray:
    """Where the spans of a text begin, int64 [spans]: a named entity is one span, however many words it has.

    Args:
        words, entities: flags [length] of the text's tokens, as in a corpus.
    """
    begins = np.where(entities == 0, words == 1, entities == 1)
    begins[1:] |= (entities[1:] == 0) & (entities[:-1] != 0)
    begins[0] = True  # a window may begin inside of a span
    return np.flatnonzero(begins)


class Masking:
    """Hides spans of about a share ``rate`` of a text's tokens, at least one of them.

    Of the chosen spans 80% become [MASK], 10% random tokens, and 10% stay, token by token alike.
    """

    def __init__(self, tokenizer: Tokenizer, rate: float) -> None:
        special = [tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id, tokenizer.unk_id]
        self._mask_id, self._rate = tokenizer.mask_id, rate
        self._ordinary = np.setdiff1d(np.arange(tokenizer.vocab_size), special)

    def __call__(
        self, tokens: np.ndarray, starts: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The text as the network sees it, like ``tokens``, and the positions of what was chosen, in order."""
        sizes = np.diff(starts, append=len(tokens))
        order = rng.permutation(len(starts))
        # So many, in random order, as come closest to the share.
        count = 1 + int(np.argmin(np.abs(np.cumsum(sizes[order]) - self._rate * len(tokens))))
        fate = np.ones(len(starts))
        fate[order[:count]] = rng.random(count)
        is_chosen = np.zeros(len(starts), bool)
        is_chosen[order[:count]] = True
        fate = np.repeat(fate, sizes)
        masked = np.where(fate < 0.8, self._mask_id, tokens)
        swapped = np.flatnonzero((fate >= 0.8) & (fate < 0.9))
        masked[swapped] = self._ordinary[rng.integers(len(self._ordinary), size=len(swapped))]
        return masked, np.flatnonzero(np.repeat(is_chosen, sizes))
