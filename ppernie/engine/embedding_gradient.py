"""The gradient of the word embeddings, shrunk for as long as it would upset a run (arXiv:2210.02414, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    import paddle


@runtime_checkable
class ShrinksGradient(Protocol):
    """A layer of word embeddings, ``network.embeddings``, in which looking words up gives the table ``gradient`` times
    its gradient."""

    gradient: float


class EmbeddingGradient:
    """Sets the factor from step to step.

    Args:
        network: of a family with ``Arch.embedding_gradient``.
        points: (step, factor), ascending; between two the factor changes linearly, before the first and after the
            last it is theirs.
    """

    def __init__(self, network: paddle.nn.Layer, points: Sequence[tuple[int, float]]) -> None:
        assert isinstance(network.embeddings, ShrinksGradient)
        self._embeddings = network.embeddings
        self._steps, self._factors = zip(*points, strict=True)

    def set(self, step: int) -> float:
        """Sets the factor of a step, counted from 1, and returns it."""
        self._embeddings.gradient = float(np.interp(step, self._steps, self._factors))
        return self._embeddings.gradient
