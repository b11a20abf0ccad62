"""Checkpoints as they lie on disk: any rectangle of any tensor, read once and proved while it is read."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppernie.checkpoints.marker import STATE, Damaged, Marker, read_checked, read_marker
from ppernie.checkpoints.rank_file import (
    BLOCK,
    RankIndex,
    StoredSlice,
    checksum,
    data_name,
    index_name,
    memory_dtype,
)
from ppernie.checkpoints.slices import Box, check_cover
from ppernie.zoo.formats import StoredTensor

# Elements that do not lie in a row both on disk and in memory are read in bands of at most this many bytes.
_BAND = 4 * BLOCK


@dataclass(frozen=True)
class SlicedTensor(StoredTensor):
    """A tensor of a checkpoint, whole though several ranks may have written it.

    Attributes:
        slices: its rectangles and the files that hold them; each element lies in exactly one.
    """

    slices: tuple[tuple[Path, StoredSlice], ...]

    def read_part(self, offset: Sequence[int], out: np.ndarray) -> None:
        """Fills ``out`` with the rectangle of its shape that begins at ``offset``.

        Its dtype is the stored one, its strides are free. Only the blocks that hold it are read, each once.

        Raises:
            Damaged: what is read is not what was written.
            ValueError: the rectangle does not lie in the tensor, or ``out`` has another dtype.
        """
        wanted, all_of_it = Box(tuple(offset), out.shape), Box((0,) * len(self.shape), self.shape)
        if out.ndim != len(self.shape) or (wanted.volume and wanted.common(all_of_it) != wanted):
            raise ValueError(f"{out.shape} elements from {tuple(offset)} do not lie in a tensor of {self.shape}")
        if out.dtype != memory_dtype(self.dtype):
            raise ValueError(f"an array of {memory_dtype(self.dtype)} is needed, not {out.dtype}")
        for path, stored in self.slices:
            common = wanted.common(stored.box)
            if common is not None:
                with _opened(path) as descriptor:
                    blocks = _Blocks(path, descriptor, stored)
                    _copy(blocks, 0, stored.size, common.within(stored.box), out[common.within(wanted).where()])

    def _fill(self, out: np.ndarray) -> None:
        stored = memory_dtype(self.dtype)
        if out.dtype == stored:
            self.read_part((0,) * len(self.shape), out)
            return
        values = np.empty(self.shape, stored)
        self.read_part((0,) * len(self.shape), values)
        out[...] = (values.astype(np.uint32) << 16).view(np.float32) if self.dtype == "bfloat16" else values


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint, not yet read.

    Attributes:
        path: its folder.
        state: what the first rank added to the tensors.
        tensors: all of them by name, such as ``model/encoder.0.norm.weight``.
        marker: who wrote it.
    """

    path: Path
    state: dict[str, Any]
    tensors: dict[str, SlicedTensor]
    marker: Marker

    def group(self, name: str) -> dict[str, SlicedTensor]:
        """The tensors of one group, such as ``model`` or ``optimizer``, by the rest of their names."""
        prefix = f"{name}/"
        return {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}

    def read(self, name: str, offset: Sequence[int], shape: Sequence[int]) -> np.ndarray:
        """A rectangle of a tensor, of its stored dtype; bfloat16 as uint16.

        Raises:
            Damaged: what is read is not what was written.
            KeyError: the checkpoint holds no such tensor.
            ValueError: the rectangle does not lie in it.
        """
        tensor = self.tensors[name]
        out = np.empty(tuple(shape), memory_dtype(tensor.dtype))
        tensor.read_part(offset, out)
        return out


def open_checkpoint(folder: Path) -> Checkpoint:
    """Opens a checkpoint folder and checks all of it but the elements, which are checked as they are read.

    Raises:
        UserError: there is no such folder, or it is not marked complete.
        Damaged: it is not what was written.
    """
    marker = read_marker(folder)
    try:
        state = json.loads(read_checked(folder, STATE, marker.files))
        indexes = [
            RankIndex.parse(read_checked(folder, index_name(rank), marker.files)) for rank in range(marker.world)
        ]
        tensors = gather(folder, indexes)
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(folder, f"{error}") from error
    for rank, index in enumerate(indexes):
        with _opened(folder / data_name(rank)) as descriptor:
            if checksum(os.pread(descriptor, index.header_bytes, 0)) != index.header_checksum:
                raise Damaged(folder, f"the header of {data_name(rank)} is not what was written")
    return Checkpoint(folder, state, tensors, marker)


def gather(folder: Path, indexes: Sequence[RankIndex]) -> dict[str, SlicedTensor]:
    """The tensors that the slices of all ranks make.

    Raises:
        ValueError: the slices of a tensor contradict each other, overlap or leave a gap.
    """
    found: dict[str, list[tuple[Path, StoredSlice]]] = {}
    for rank, index in enumerate(indexes):
        for stored in index.slices:
            found.setdefault(stored.name, []).append((folder / data_name(rank), stored))
    tensors = {}
    for name, slices in found.items():
        first = slices[0][1]
        if any((stored.dtype, stored.shape) != (first.dtype, first.shape) for _, stored in slices):
            raise ValueError(f"{name}: ranks give it different shapes or dtypes")
        try:
            check_cover(first.shape, [stored.box for _, stored in slices])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        tensors[name] = SlicedTensor(folder, first.dtype, first.shape, tuple(slices))
    return tensors


class _Blocks:
    """The bytes of a stored slice, proved block by block.

    Who asks for bytes in ascending order has each block read once.
    """

    def __init__(self, path: Path, descriptor: int, stored: StoredSlice) -> None:
        self._path, self._descriptor, self._stored = path, descriptor, stored
        self._number, self._block = -1, memoryview(b"")

    def read(self, begin: int, out: memoryview) -> None:
        """Fills ``out`` with the bytes from ``begin`` on."""
        while out:
            number, skip = divmod(begin, BLOCK)
            size = min(BLOCK, self._stored.nbytes - number * BLOCK)
            count = min(size - skip, len(out))
            if count == size:
                self._fetch(number, out[:size])
            else:
                if number != self._number:
                    block = memoryview(bytearray(size))
                    self._fetch(number, block)
                    self._number, self._block = number, block
                out[:count] = self._block[skip : skip + count]
            begin, out = begin + count, out[count:]

    def _fetch(self, number: int, out: memoryview) -> None:
        place = self._stored.begin + number * BLOCK
        if os.preadv(self._descriptor, [out], place) != len(out):
            raise Damaged(self._path.parent, f"{self._path.name} ends inside {self._stored.name}")
        if checksum(out) != self._stored.checksums[number]:
            raise Damaged(
                self._path.parent,
                f"{self._path.name}: the bytes from {place} to {place + len(out)}, of {self._stored.name}, are not "
                "what was written",
            )


def _copy(blocks: _Blocks, start: int, shape: Sequence[int], box: Box, out: np.ndarray) -> None:
    """Fills ``out`` with a box of the array of ``shape`` that begins at byte ``start``."""
    row = math.prod(shape[1:]) * out.itemsize
    if _in_a_row(shape, box.size) and out.flags.c_contiguous:
        first = sum(index * stride for index, stride in zip(box.offset, _strides(shape), strict=True))
        blocks.read(start + first * out.itemsize, memoryview(out.reshape(-1).view(np.uint8)))  # type: ignore[arg-type]
    elif box.size[0] * row <= _BAND:
        band = np.empty((box.size[0], *shape[1:]), out.dtype)
        part = Box((0, *box.offset[1:]), box.size)
        strides = _strides(shape)
        first, last = (
            sum(index * stride for index, stride in zip(corner, strides, strict=True)) * out.itemsize
            for corner in (part.offset, [begin + length - 1 for begin, length in zip(*part, strict=True)])
        )
        flat = memoryview(band.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        blocks.read(start + box.offset[0] * row + first, flat[first : last + out.itemsize])
        out[...] = band[part.where()]
    elif box.size[0] == 1:
        _copy(blocks, start + box.offset[0] * row, shape[1:], Box(box.offset[1:], box.size[1:]), out[0])
    else:
        half = box.size[0] // 2
        _copy(blocks, start, shape, Box(box.offset, (half, *box.size[1:])), out[:half])
        rest = Box((box.offset[0] + half, *box.offset[1:]), (box.size[0] - half, *box.size[1:]))
        _copy(blocks, start, shape, rest, out[half:])


def _in_a_row(shape: Sequence[int], size: Sequence[int]) -> bool:
    """Whether the elements of a box of ``size`` lie one after the other in an array of ``shape``."""
    cut = [axis for axis, (length, part) in enumerate(zip(shape, size, strict=True)) if part != length]
    return not cut or all(part == 1 for part in size[: cut[-1]])


def _strides(shape: Sequence[int]) -> list[int]:
    """Elements from one index to the next, a dimension."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Damaged(path.parent, f"{path.name} cannot be read: {error.strerror}") from error
