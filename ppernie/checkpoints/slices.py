"""Rectangles of tensors: what a rank hands over, and how rectangles lie over one another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np


class Box(NamedTuple):
    """A rectangle: its first element and its lengths, one number a dimension."""

    offset: tuple[int, ...]
    size: tuple[int, ...]

    @property
    def volume(self) -> int:
        """The number of elements."""
        return math.prod(self.size)

    def where(self) -> tuple[Any, ...]:
        """The rectangle as NumPy's index; that of a scalar gives a view, too."""
        return *(slice(start, start + length) for start, length in zip(self.offset, self.size, strict=True)), ...

    def within(self, other: Box) -> Box:
        """The same rectangle, counted from the first element of ``other``."""
        return Box(tuple(start - base for start, base in zip(self.offset, other.offset, strict=True)), self.size)

    def common(self, other: Box) -> Box | None:
        """What lies in both; None where that is nothing. Two scalars have their one element in common."""
        starts = tuple(map(max, self.offset, other.offset))
        ends = map(min, map(sum, zip(*self, strict=True)), map(sum, zip(*other, strict=True)))
        size = tuple(end - start for start, end in zip(starts, ends, strict=True))
        return Box(starts, size) if all(length > 0 for length in size) else None


@dataclass(frozen=True)
class Slice:
    """The rectangle of a tensor that a rank owns.

    Attributes:
        name: of the tensor, such as ``model/encoder.0.norm.weight``.
        shape: of the whole tensor.
        offset: of the rectangle's first element in it.
        array: the elements: an array that nothing changes until the checkpoint is written, or a Paddle tensor.
        dtype: such as ``float32``; for an array of the 16 bits of each number, ``bfloat16`` is given.

    Raises:
        ValueError: the rectangle does not lie in the tensor.
    """

    name: str
    shape: tuple[int, ...]
    offset: tuple[int, ...]
    array: Any
    dtype: str = ""

    def __post_init__(self) -> None:
        if not self.dtype:
            # Paddle writes paddle.float32.
            object.__setattr__(self, "dtype", str(self.array.dtype).rpartition(".")[2])
        size = self.box.size
        if not len(self.shape) == len(self.offset) == len(size) or any(
            not 0 <= start <= start + length <= whole
            for start, length, whole in zip(self.offset, size, self.shape, strict=True)
        ):
            raise ValueError(f"{self.name}: {size} elements from {self.offset} do not lie in a tensor of {self.shape}")

    @property
    def box(self) -> Box:
        """Where the elements lie in the whole tensor."""
        return Box(self.offset, tuple(self.array.shape))

    def elements(self) -> np.ndarray:
        """The elements; those of a Paddle tensor that lies in this process's memory are not copied."""
        place = getattr(self.array, "place", None)
        if place is not None and place.is_cpu_place() and self.dtype != "bfloat16":
            return np.from_dlpack(self.array.detach())
        return np.asarray(self.array)

    def on_host(self) -> Slice:
        """The same slice of an array that stays as it is when a tensor changes."""
        return replace(self, array=np.asarray(self.array))


def whole(name: str, array: Any) -> Slice:
    """The slice that is all of a tensor."""
    shape = tuple(array.shape)
    return Slice(name, shape, (0,) * len(shape), array)


def check_cover(shape: Sequence[int], boxes: Sequence[Box]) -> None:
    """Raises ValueError where some element of a tensor lies in none of the boxes, or in several."""
    starts = np.array([box.offset for box in boxes], np.int64).reshape(len(boxes), len(shape))
    ends = starts + np.array([box.size for box in boxes], np.int64).reshape(starts.shape)
    if len(boxes) > 1:
        common = (np.maximum(starts[:, None], starts) < np.minimum(ends[:, None], ends)).all(-1)
        if common.sum() > common.trace():
            raise ValueError("two slices overlap")
    if (starts < 0).any() or (ends > np.array(shape)).any() or sum(box.volume for box in boxes) != math.prod(shape):
        raise ValueError("its slices do not make the whole")
