"""The rows of a task that is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ppernie.data.readers.documents import read_json
from ppernie.data.readers.files import Row, resolve
from ppernie.errors import UserError


class NumberedRow(NamedTuple):
    """A row, and its number among all of the task."""

    number: int
    where: str
    values: dict[str, Any]


def read_rows(
    files: str | Sequence[str],
    root: str | None,
    limit: int | None,
    seed: int,
    read: Callable[[Path], Iterator[Row]] = read_json,
) -> list[NumberedRow]:
    """All rows, or ``limit`` of them from all over the files, which are often sorted by answer.

    Args:
        root: folder that the files lie below.
        seed: of that choice.

    Raises:
        UserError: a file is absent, empty or broken, or holds no row.
    """
    rows = [row for path in resolve(files, root) for row in read(path)]
    if not rows:
        raise UserError(f"{files if isinstance(files, str) else ', '.join(files)}: holds no row")
    numbers: Sequence[int] = range(len(rows))
    if limit is not None:
        numbers = sorted(np.random.default_rng(seed).permutation(len(rows))[:limit].tolist())
    return [NumberedRow(n, *rows[n]) for n in numbers]
