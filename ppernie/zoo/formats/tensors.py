"""Tensors that lie in a file and are read when they are asked for.

Bytes go from the file straight into the caller's array. A memory map beside that array would count twice in the
memory of the process; ``map`` is for a caller that keeps no array of its own.
"""

from __future__ import annotations

import codecs
import io
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ppernie.errors import UserError
from ppernie.zoo.formats.reading import damaged, open_file, unsupported

# How a stored element lies in memory. NumPy has no bfloat16: its 16 bits, the upper half of a float32, stand as uint16.
_NUMPY: dict[str, np.dtype[Any]] = {
    "float64": np.dtype("<f8"),
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
    "int64": np.dtype("<i8"),
    "int32": np.dtype("<i4"),
    "int16": np.dtype("<i2"),
    "int8": np.dtype("i1"),
    "uint8": np.dtype("u1"),
    "bool": np.dtype("?"),
}
_CHUNK = 4 * 1024 * 1024
_MAX_DIMENSIONS = 32
_MAX_BYTES = 2**62


@dataclass(frozen=True)
class Span:
    """A place in a file.

    Attributes:
        offset: its first byte.
        length: its length in bytes.
        text: it is UTF-8 text of which every character stands for one byte, as Python 3 writes the bytes of an array
            into a pickle of protocol 2 or lower.
    """

    offset: int
    length: int
    text: bool = False


@dataclass(frozen=True)
class StoredTensor(ABC):
    """A tensor in a file.

    Attributes:
        path: the file.
        dtype: ``float64``, ``float32``, ``float16``, ``bfloat16``, ``int64``, ``int32``, ``int16``, ``int8``, ``uint8``
            or ``bool``.
        shape: its dimensions.
    """

    path: Path
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The size of all elements in bytes, as they are stored."""
        return self.size * item_size(self.dtype)

    def read(self) -> npt.NDArray[Any]:
        """A new C-ordered array of the stored dtype; bfloat16 becomes float32, which is exact.

        Raises:
            UserError: the file cannot be read or is shorter than it says.
        """
        out = np.empty(self.shape, np.float32 if self.dtype == "bfloat16" else _NUMPY[self.dtype])
        self.read_into(out)
        return out

    def read_into(self, out: npt.NDArray[Any]) -> None:
        """Fills a C-contiguous array of the same shape.

        The elements become ``out.dtype`` where that is another floating type or holds every value of the stored one.
        An ``out`` of uint16 takes the bits of bfloat16. Apart from ``out`` at most a few MB are used.

        Raises:
            UserError: the file cannot be read, is shorter than it says, or its dtype does not fit ``out``.
            ValueError: ``out`` has another shape or is not C-contiguous.
        """
        if out.shape != self.shape or not out.flags.c_contiguous:
            raise ValueError(f"a C-contiguous array of shape {self.shape} is needed, not {out.shape}")
        stored = _NUMPY[self.dtype]
        floats = out.dtype.kind == "f" and (stored.kind == "f" or self.dtype == "bfloat16")
        if out.dtype != stored and not floats and (self.dtype == "bfloat16" or not np.can_cast(stored, out.dtype)):
            raise unsupported(self.path, f"holds a tensor of {self.dtype} where {out.dtype} is needed")
        self._fill(out)

    def map(self) -> npt.NDArray[Any] | None:
        """The tensor in the file's own pages: nothing is read before it is used, and writing leaves the file alone.

        None where the elements do not lie there as an array of ``dtype`` would.

        Raises:
            UserError: the file cannot be read or is shorter than it says.
        """
        return None

    @abstractmethod
    def _fill(self, out: npt.NDArray[Any]) -> None:
        """Fills an array that was checked."""

    def __array__(self, dtype: npt.DTypeLike = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """So that NumPy takes it for an array."""
        values = self.read()
        return values if dtype is None else values.astype(dtype, copy=False)


@dataclass(frozen=True)
class FileTensor(StoredTensor):
    """A tensor whose elements lie in one piece.

    Attributes:
        content: where they lie, or, if few, the bytes themselves.
        transposed: the first index runs fastest (Fortran's order).
    """

    content: Span | bytes
    transposed: bool = False

    def __post_init__(self) -> None:
        check_shape(self.path, self.dtype, self.shape)
        length = self.content.length if isinstance(self.content, Span) else len(self.content)
        # A byte takes one or two bytes of UTF-8.
        longest = 2 * self.nbytes if isinstance(self.content, Span) and self.content.text else self.nbytes
        if not self.nbytes <= length <= longest:
            raise damaged(self.path, f"a tensor of shape {self.shape} and {self.dtype} has {length} bytes")

    def map(self) -> npt.NDArray[Any] | None:
        stored = _NUMPY[self.dtype]
        if not isinstance(self.content, Span) or self.content.text or self.transposed or self.dtype == "bfloat16":
            return None
        if not self.size or self.content.offset % stored.itemsize:
            return None
        try:
            return np.memmap(self.path, stored, "c", self.content.offset, self.shape)
        except ValueError:
            raise damaged(self.path, "is shorter than it says") from None
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read ({error.strerror or error})") from error

    def _fill(self, out: npt.NDArray[Any]) -> None:
        if isinstance(self.content, bytes):
            self._take(io.BytesIO(self.content), out)
            return
        with open_file(self.path) as file:
            if self.content.text:
                self._take_text(file, self.content, out)
            else:
                file.seek(self.content.offset)
                # The buffer of an open file would take one more copy.
                self._take(file.raw, out)  # type: ignore[attr-defined]

    def _take_text(self, file: BinaryIO, span: Span, out: npt.NDArray[Any]) -> None:
        text = _Latin1Text(file, span)
        try:
            self._take(text, out)
        except UnicodeError as error:
            raise damaged(self.path, "the bytes of a tensor are not the text that they should be") from error
        if text.left:
            raise damaged(self.path, "a tensor has more bytes than its shape needs")

    def _take(self, source: BinaryIO | io.RawIOBase, out: npt.NDArray[Any]) -> None:
        stored = _NUMPY[self.dtype]
        if out.dtype == stored and not self.transposed:
            self._read_exactly(source, out)
            return
        values = out.T.flat if self.transposed else out.reshape(-1)
        buffer = np.empty(min(self.size, _CHUNK // stored.itemsize), stored)
        for start in range(0, self.size, max(1, buffer.size)):
            chunk = buffer[: self.size - start]
            self._read_exactly(source, chunk)
            if self.dtype == "bfloat16" and out.dtype != stored:
                chunk = (chunk.astype(np.uint32) << 16).view(np.float32)
            values[start : start + chunk.size] = chunk

    def _read_exactly(self, source: BinaryIO | io.RawIOBase, out: npt.NDArray[Any]) -> None:
        view = memoryview(out.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        while view:
            count = source.readinto(view)  # type: ignore[union-attr]
            if not count:
                raise damaged(self.path, "is shorter than it says")
            view = view[count:]


@dataclass(frozen=True)
class JoinedTensor(StoredTensor):
    """A tensor that was cut into flat parts, one after the other."""

    parts: Sequence[StoredTensor]

    def __post_init__(self) -> None:
        check_shape(self.path, self.dtype, self.shape)
        same = all(part.dtype == self.dtype for part in self.parts)
        if not same or sum(part.size for part in self.parts) != self.size:
            raise damaged(self.path, f"the parts of a tensor of shape {self.shape} do not make the whole")

    def _fill(self, out: npt.NDArray[Any]) -> None:
        flat, start = out.reshape(-1), 0
        for part in self.parts:
            part.read_into(flat[start : start + part.size].reshape(part.shape))
            start += part.size


class _Latin1Text(io.RawIOBase):
    """The bytes that a ``Span`` of text stands for.

    Attributes:
        left: how many bytes of text were not read yet.
    """

    def __init__(self, file: BinaryIO, span: Span) -> None:
        file.seek(span.offset)
        self._file = file
        self.left = span.length
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def readinto(self, view: Any) -> int:
        """Puts bytes into a buffer and returns their number; 0 at the end."""
        data = b""
        # A character that is cut in two gives nothing until its second byte is read.
        while not data and self.left:
            # No text is shorter than what it stands for, so this fits.
            text = self._file.read(min(len(view), self.left, _CHUNK))
            if not text:
                break
            self.left -= len(text)
            data = self._decoder.decode(text).encode("latin-1")
        view[: len(data)] = data
        return len(data)


def item_size(dtype: str) -> int:
    """The size of one stored element in bytes."""
    return _NUMPY[dtype].itemsize


def check_shape(path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    """Raises UserError where a dtype or shape that was read from a file can be no tensor's."""
    if dtype not in _NUMPY:
        raise unsupported(path, f"holds a tensor of {dtype}")
    if len(shape) > _MAX_DIMENSIONS or any(type(length) is not int or length < 0 for length in shape):
        raise damaged(path, "a tensor's shape is not a short list of whole numbers")
    # NumPy counts an empty dimension as one here, too.
    if math.prod(max(length, 1) for length in shape) * item_size(dtype) > _MAX_BYTES:
        raise damaged(path, f"a tensor of shape {shape} is larger than any memory")
