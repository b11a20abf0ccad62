"""Foreign files opened for reading, with the system's refusals as messages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from ppernie.errors import UserError


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """A file opened for reading, buffered.

    Raises:
        UserError: the file is absent or cannot be read, now or later.
    """
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


def file_size(file: IO[bytes]) -> int:
    """The size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def damaged(path: Path, what: str) -> UserError:
    """The error for a file that breaks its format's rules."""
    return UserError(f"{path}: damaged: {what}; download it again")


def unsupported(path: Path, what: str) -> UserError:
    """The error for a file that may be sound but holds what this library does not read."""
    return UserError(f"{path}: {what}, which ppernie does not read; save it again as plain float or integer tensors")
