"""How often the texts, or the facts, of each source are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppernie.errors import UserError


class Draws:
    """Numbers samples through, so that the sources' weights say how often a text of theirs comes in a pass.

    Against the source with the least weight, whose texts come once, the others' are multiplied; a source of weight 0
    is left out. A text may as well be a fact.

    Args:
        sources: int [n], the source that each text is of.
        weights: of the sources.
        samples: int [n], how many samples a text makes; by default 1.

    Raises:
        UserError: no text is left.
    """

    def __init__(self, sources: np.ndarray, weights: Sequence[float], samples: np.ndarray | int = 1) -> None:
        scale = np.asarray(weights, np.float64)
        scale = scale / min(scale[scale > 0], default=1.0)
        # Of texts of weight 1.5 every other one comes twice. What rounding may take from a sum is less than is added.
        self._ends = np.floor(np.cumsum(scale[sources] * samples) + 1e-6).astype(np.int64)
        if not len(self):
            raise UserError(
                "of what the run draws no source has a weight above 0; build the corpus with another weight"
            )

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def find(self, number: int) -> tuple[int, int]:
        """The text that a sample is of, and which of that text's it is."""
        texts, samples = self.find_all(np.asarray([number]))
        return int(texts[0]), int(samples[0])

    def find_all(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``find`` of each of int [n] samples, as two arrays like it."""
        texts = np.searchsorted(self._ends, numbers, side="right")
        return texts, numbers - np.where(texts > 0, self._ends[texts - 1], 0)
