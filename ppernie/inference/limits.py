"""What may enter the runtime, and in which sizes.

The runtime itself checks too little (an id far outside a table reads foreign memory), and it keeps compiled
kernels for every shape it ever saw, so shapes are rounded up to a few sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ppernie.errors import UserError
from ppernie.inference.deploy import BATCH, Field


def is_length(dim: str) -> bool:
    """Whether a dimension counts tokens."""
    return dim.endswith("length")


def padded_length(length: int, max_length: int) -> int:
    """The next of 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, ... and ``max_length``."""
    step = max(8, 2 ** (length - 1).bit_length() // 4)
    return min(max_length, -(-length // step) * step)


def padded_rows(rows: int) -> int:
    """The next power of two."""
    return 2 ** (rows - 1).bit_length()


def check(inputs: Mapping[str, np.ndarray], fields: Sequence[Field], max_length: int) -> dict[str, int]:
    """Checks a request and returns the size of every named dimension.

    Raises:
        ValueError: names, types or shapes are not those of ``fields``.
        UserError: an id or a length lies outside its limits.
    """
    if sorted(inputs) != sorted(field.name for field in fields):
        raise ValueError(f"inputs {sorted(inputs)} given, {sorted(field.name for field in fields)} wanted")
    sizes: dict[str, int] = {}
    for field in fields:
        array = inputs[field.name]
        if not isinstance(array, np.ndarray) or array.dtype != np.dtype(field.dtype):
            raise ValueError(
                f"{field.name}: {getattr(array, 'dtype', type(array).__name__)} given, {field.dtype} wanted"
            )
        if array.ndim != len(field.dims):
            raise ValueError(f"{field.name}: shape {array.shape} given, [{', '.join(field.dims)}] wanted")
        for dim, size in zip(field.dims, array.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise ValueError(f"{field.name}: {dim} is {size}, but {sizes[dim]} in another input")
    for dim, size in sizes.items():
        if is_length(dim) and not 1 <= size <= max_length:
            raise UserError(f"{dim} is {size} tokens, outside 1..{max_length}; shorten the text")
        if dim != BATCH and size == 0:
            raise ValueError(f"{dim} is 0")
    for field in fields:
        if field.upper is not None:
            _check_ids(inputs[field.name], field.name, field.upper)
    return sizes


def _check_ids(array: np.ndarray, name: str, upper: int) -> None:
    if array.size and not (array.min() >= 0 and array.max() < upper):
        where = tuple(int(i) for i in np.argwhere((array < 0) | (array >= upper))[0])
        raise UserError(f"{name}: id {array[where]} at {list(where)} lies outside 0..{upper - 1}")


def pad(array: np.ndarray, shape: Sequence[int], value: int) -> np.ndarray:
    """Fills up with ``value`` at the end of every dimension; contiguous."""
    if array.shape == tuple(shape):
        return np.ascontiguousarray(array)
    padded = np.full(shape, value, array.dtype)
    padded[tuple(slice(size) for size in array.shape)] = array
    return padded
