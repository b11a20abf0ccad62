"""Where this rank's part of a tensor lies in the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ppernie.checkpoints import Box
from ppernie.parallel.cut import Cut


class Step(NamedTuple):
    """A cut over so many ranks, and which of them this one is; where nothing is cut, all have the same."""

    cut: Cut
    degree: int
    rank: int


@dataclass(frozen=True)
class Placement:
    """What a rank has of a tensor that is cut in steps: over tensor-parallel ranks, and their parts over others.

    Args:
        steps: each cuts what the one before it leaves to a rank; the first one's shape is that of the whole.
    """

    steps: tuple[Step, ...]

    @property
    def whole_shape(self) -> tuple[int, ...]:
        """Shape of the whole tensor."""
        return self.steps[0].cut.shape

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of this rank's part."""
        return self.steps[-1].cut.local_shape(self.steps[-1].degree)

    @property
    def is_whole(self) -> bool:
        """Whether this rank has all of it."""
        return self.shape == self.whole_shape

    @property
    def is_first(self) -> bool:
        """Whether this rank is the first of those that have the same part."""
        return all(step.rank == 0 for step in self.steps if step.cut.axis is None)

    def take(self, whole: np.ndarray) -> np.ndarray:
        """This rank's part of the whole."""
        for cut, degree, rank in self.steps:
            whole = cut.take(whole, degree, rank)
        return whole

    def rectangles(self) -> list[tuple[Box, Box]]:
        """The rectangles that this rank has: each where it lies in the whole, and where in the part."""
        everything = Box((0,) * len(self.whole_shape), self.whole_shape)
        found = [(everything, everything)]
        for cut, degree, rank in self.steps:
            inner = [_boxes(offset, inside) for offset, inside in cut.offsets(degree, rank)]
            found = [
                (_moved(common, before, place), _moved(common, kept, here))
                for place, before in found
                for kept, here in inner
                if (common := before.common(kept)) is not None
            ]
        return found


def _boxes(offset: tuple[int, ...], inside: tuple[slice, ...]) -> tuple[Box, Box]:
    size = tuple(part.stop - part.start for part in inside)
    return Box(offset, size), Box(tuple(part.start for part in inside), size)


def _moved(box: Box, origin: Box, target: Box) -> Box:
    """A box inside ``origin`` at the same place inside ``target``."""
    within = box.within(origin)
    return Box(tuple(map(sum, zip(within.offset, target.offset, strict=True))), box.size)
