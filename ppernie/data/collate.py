"""Rows of unequal length into one array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pad_rows(rows: Sequence[Sequence[int]], value: int, length: int | None = None) -> np.ndarray:
    """int64 [len(rows), length], rows filled up with ``value``; ``length`` defaults to the longest row's."""
    width = max(map(len, rows)) if length is None else length
    array = np.full((len(rows), width), value, dtype=np.int64)
    for target, row in zip(array, rows, strict=True):
        target[: len(row)] = row
    return array
