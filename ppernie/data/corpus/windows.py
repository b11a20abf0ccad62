"""Samples of running text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ppernie.data.corpus.corpus import Corpus


class Windows:
    """Ranges of sentences, each within one document and filled up to a number of tokens, as often as sources weigh.

    Args:
        room: tokens of the longest; a sentence that is longer by itself is a window of its own.
    """

    def __init__(self, corpus: Corpus, room: int) -> None:
        self.corpus = corpus
        self._ranges = corpus.windows(room)
        self._draws = corpus.draws(self._ranges[:, 0])

    def __len__(self) -> int:
        return len(self._draws)

    def part(self, index: int, room: int, rng: np.random.Generator) -> tuple[slice, np.ndarray]:
        """At most ``room`` tokens of a window, from a random place on where it has more.

        Returns:
            Which of the corpus's tokens; and where the window's sentences begin and end, int [sentences + 1].
        """
        first, last = self._ranges[self._draws.find(index)[0]]
        borders = np.asarray(self.corpus.sentences[first : last + 1])
        start = int(borders[0] + rng.integers(max(borders[-1] - borders[0] - room, 0) + 1))
        return slice(start, min(start + room, int(borders[-1]))), borders

    def sizes(self, indices: np.ndarray, room: int) -> np.ndarray:
        """Tokens of the parts of each of int [n] windows."""
        windows, _ = self._draws.find_all(indices)
        return np.minimum(self.corpus.sizes(self._ranges[windows]), room)
