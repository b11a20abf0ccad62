"""Tensors read and handed on some rows at a time, for those that are larger than what memory is to hold.

Other libraries store a matrix as [out, in], one row for each output; ours are [in, out]. What is written in the other
orientation than it is stored in, is held whole once; nothing else is.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ppernie.zoo.formats.tensors import FileTensor, Span, StoredTensor, item_size

# Enough for a disk to be quick, and little enough for the caches of a processor.
_BLOCK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class RowTensor(StoredTensor):
    """A tensor of ours that is made of foreign rows.

    Attributes:
        turned: it is a matrix [in, out], and the rows are those of [out, in].
    """

    turned: bool

    @abstractmethod
    def rows(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The foreign rows from ``start`` to before ``stop``. Raises UserError where they cannot be read."""

    def _fill(self, out: npt.NDArray[Any]) -> None:
        foreign = out.T if self.turned else out
        for start, stop in blocks(foreign.shape, self.dtype):
            foreign[start:stop] = self.rows(start, stop)


def blocks(shape: tuple[int, ...], dtype: str) -> Iterator[tuple[int, int]]:
    """[start, stop) of blocks of a few MB along the first axis of a tensor."""
    row_bytes = math.prod(shape[1:]) * item_size(dtype)
    step = max(1, _BLOCK_BYTES // max(1, row_bytes))
    for start in range(0, shape[0], step):
        yield start, min(start + step, shape[0])


def take_rows(tensor: StoredTensor, start: int, stop: int) -> npt.NDArray[Any]:
    """Rows of a tensor as it is stored. Raises UserError where they cannot be read."""
    if isinstance(tensor, RowTensor):
        return tensor.rows(start, stop)
    if isinstance(tensor, FileTensor) and isinstance(tensor.content, Span) and not tensor.transposed:
        row_bytes = math.prod(tensor.shape[1:]) * item_size(tensor.dtype)
        span = Span(tensor.content.offset + start * row_bytes, (stop - start) * row_bytes)
        if not tensor.content.text:
            return replace(tensor, shape=(stop - start, *tensor.shape[1:]), content=span).read()
    return tensor.read()[start:stop]


def our_rows(tensor: StoredTensor) -> Iterator[npt.NDArray[Any]]:
    """All rows of a tensor in order, a matrix being [in, out]."""
    if isinstance(tensor, RowTensor) and tensor.turned:
        yield tensor.read()
        return
    for start, stop in blocks(tensor.shape, tensor.dtype):
        yield take_rows(tensor, start, stop)


def output_rows(tensor: StoredTensor) -> Iterator[npt.NDArray[Any]]:
    """All rows of a matrix of ours in order, as [out, in]."""
    shape = tensor.shape[::-1]
    if isinstance(tensor, RowTensor) and tensor.turned:
        for start, stop in blocks(shape, tensor.dtype):
            yield tensor.rows(start, stop)
        return
    whole = tensor.read().T
    for start, stop in blocks(shape, tensor.dtype):
        yield np.ascontiguousarray(whole[start:stop])
