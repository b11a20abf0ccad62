"""How one parameter lies over the tensor-parallel ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ppernie.errors import UserError


@dataclass(frozen=True)
class Cut:
    """The layout of a parameter: whole on every rank, or cut along one axis.

    Args:
        shape: of the whole parameter.
        axis: the one that is cut; None where every rank holds the whole.
        blocks: the axis holds so many blocks side by side, each of which is cut (the halves of a gated linear unit).
        unit: run along the axis that stays together (a head's query, key and value).
    """

    shape: tuple[int, ...]
    axis: int | None = None
    blocks: int = 1
    unit: int = 1

    def check(self, name: str, degree: int) -> None:
        """Raises UserError where the axis cannot be cut into ``degree`` equal parts."""
        if self.axis is None:
            return
        units = self.shape[self.axis] / self.blocks / self.unit
        if units % degree:
            what = f"{self.shape[self.axis]} = {self.blocks} blocks x {units:g} units of {self.unit}"
            raise UserError(
                f"{name}: {what} along axis {self.axis} do not divide by Distributed.mp = {degree}; "
                "choose another degree"
            )

    def ranges(self, degree: int, rank: int) -> list[tuple[int, int]]:
        """[start, stop) along the cut axis of what a rank holds, one for each block."""
        assert self.axis is not None
        block = self.shape[self.axis] // self.blocks
        part = block // degree
        return [(n * block + rank * part, n * block + (rank + 1) * part) for n in range(self.blocks)]

    def local_shape(self, degree: int) -> tuple[int, ...]:
        """Shape of what a rank holds."""
        return tuple(size // degree if axis == self.axis else size for axis, size in enumerate(self.shape))

    def take(self, whole: np.ndarray, degree: int, rank: int) -> np.ndarray:
        """A rank's part of the whole."""
        if self.axis is None or degree == 1:
            return whole
        return np.concatenate([self._along(whole, start, stop) for start, stop in self.ranges(degree, rank)], self.axis)

    def join(self, parts: list[np.ndarray]) -> np.ndarray:
        """The whole from the parts of all ranks, in their order."""
        if self.axis is None or len(parts) == 1:
            return parts[0]
        cut = [np.split(part, self.blocks, self.axis) for part in parts]
        return np.concatenate([part[n] for n in range(self.blocks) for part in cut], self.axis)

    def offsets(self, degree: int, rank: int) -> list[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """The rectangles that a rank holds: where each begins in the whole, and where it lies in the part."""
        if self.axis is None or degree == 1:
            return [((0,) * len(self.shape), tuple(slice(0, size) for size in self.shape))]
        found, position = [], 0
        for start, stop in self.ranges(degree, rank):
            offset = tuple(start if axis == self.axis else 0 for axis in range(len(self.shape)))
            inside = slice(position, position + stop - start)
            found.append((offset, tuple(inside if a == self.axis else slice(0, n) for a, n in enumerate(self.shape))))
            position += stop - start
        return found

    def _along(self, whole: np.ndarray, start: int, stop: int) -> np.ndarray:
        return whole[(slice(None),) * (self.axis or 0) + (slice(start, stop),)]
