"""Sentence reordering (ERNIE 3.0, section 3.2.2): in which order do the pieces of a paragraph stand?"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial
from typing import TYPE_CHECKING

import numpy as np

from model_zoo.ernie3.universal.streams.texts import NO_POSITIONS, WindowStream

if TYPE_CHECKING:
    from ppernie.data.corpus import Corpus
    from ppernie.data.tokenizers import Tokenizer
    from ppernie.tasks.base import Features


def order_classes(most: int) -> int:
    """All orders of 1, of 2, ... of ``most`` pieces."""
    return sum(factorial(pieces) for pieces in range(1, most + 1))


def order_class(order: Sequence[int]) -> int:
    """The class of an order: orders of fewer pieces come first, and those of as many in the dictionary's order.

    For up to 3 pieces these are 0: (0); 1: (0 1), 2: (1 0); 3: (0 1 2), 4: (0 2 1), 5: (1 0 2), 6: (1 2 0),
    7: (2 0 1), 8: (2 1 0).

    Args:
        order: the numbers of the pieces, as they come in the text, in the places where they stand.
    """
    later_smaller = [sum(later < own for later in order[place + 1 :]) for place, own in enumerate(order)]
    rank = sum(factorial(len(order) - 1 - place) * smaller for place, smaller in enumerate(later_smaller))
    return order_classes(len(order) - 1) + rank


def cut(length: int, borders: np.ndarray, pieces: int, rng: np.random.Generator) -> np.ndarray:
    """Where to cut a text into pieces, ascending int64 [pieces - 1].

    Cuts are between sentences, or anywhere where these are too few.

    Args:
        length: tokens of the text, at least as many as the pieces.
        borders: where a sentence of it begins, but the first.
    """
    places = borders if len(borders) >= pieces - 1 else np.arange(1, length)
    return np.sort(rng.choice(places, pieces - 1, replace=False))


class Reordering(WindowStream):
    """``[CLS] piece [SEP] piece [SEP] ...`` of a paragraph in 1 to ``most`` pieces, their number and order random.

    Without the separators a text in order would be the same in one piece, in two and in three, which are classes apart.
    """

    objective = "reordering"

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, longest: int, most: int) -> None:
        super().__init__(corpus, tokenizer, longest, most)
        self._most = most

    def made(self, part: slice, borders: np.ndarray, rng: np.random.Generator) -> Features:
        tokens = np.asarray(self.corpus.tokens[part], np.int64)
        pieces = min(int(rng.integers(1, self._most + 1)), len(tokens))
        inside = borders[(borders > part.start) & (borders < part.stop)] - part.start
        texts = np.split(tokens, cut(len(tokens), inside, pieces, rng))
        order = rng.permutation(pieces).tolist()
        ids, types = self.joined([texts[number] for number in order], [0] * pieces)
        return {
            "input_ids": ids,
            "token_type_ids": types,
            "masked_positions": NO_POSITIONS,
            "labels": np.asarray([order_class(order)]),
        }
