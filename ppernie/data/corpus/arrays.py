"""The arrays of a corpus as files without a head, appended to while it is built and mapped when it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from ppernie.files import writing

_COPY_BYTES = 8 * 2**20

_TOKENS = ("tokens", "fact_names", "fact_tokens")
_FLAGS = ("words", "entities", "source_of", "fact_words")
# Where each row ends in another array; they begin with a 0.
OFFSETS = ("sentences", "documents", "fact_sentences", "fact_name_offsets")


def token_type(vocab_size: int) -> np.dtype:
    """uint16 where every id fits, else uint32."""
    return np.dtype(np.uint16 if vocab_size <= 2**16 else np.uint32)


def array_types(vocab_size: int) -> dict[str, np.dtype]:
    """The arrays that a corpus holds, with the types of their files."""
    return {
        **dict.fromkeys(_TOKENS, token_type(vocab_size)),
        **dict.fromkeys(_FLAGS, np.dtype(np.uint8)),
        **dict.fromkeys(OFFSETS, np.dtype(np.int64)),
    }


def file_of(folder: Path, name: str) -> Path:
    """Where an array lies."""
    return folder / f"{name}.bin"


def digest_arrays(folder: Path, names: Iterable[str]) -> str:
    """A digest of the contents of some arrays."""
    digest = hashlib.sha256()
    for name in sorted(names):
        with file_of(folder, name).open("rb") as file:
            digest.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


class ArrayWriter:
    """Appends to the arrays of a folder. Raises UserError where the disk is full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}

    def append(self, name: str, values: np.ndarray) -> None:
        """Adds values at the end of an array; the first call makes it, even with no values."""
        with writing(self._folder):
            self._file(name).write(np.ascontiguousarray(values).data.cast("B") if values.size else b"")

    def append_range(self, name: str, path: Path, start: int, stop: int) -> None:
        """Adds the bytes [start, stop) of another file, however many they are."""
        with writing(self._folder), path.open("rb") as source:
            source.seek(start)
            while start < stop and (block := source.read(min(_COPY_BYTES, stop - start))):
                self._file(name).write(block)
                start += len(block)

    def _file(self, name: str) -> BinaryIO:
        if name not in self._files:
            self._files[name] = file_of(self._folder, name).open("wb")
        return self._files[name]

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self._folder):
            for file in self._files.values():
                file.close()
