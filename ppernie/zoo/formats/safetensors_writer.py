"""Files of ``safetensors`` written as their tensors come, so that none has to be held."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ppernie.zoo.formats.tensors import item_size

_CODES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


class Entry(NamedTuple):
    """A tensor to be written."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return math.prod(self.shape) * item_size(self.dtype)


class SafetensorsWriter:
    """Takes the elements of the announced tensors, one after the other, in blocks of any size."""

    def __init__(self, file: Any, entries: Mapping[str, Entry]) -> None:
        self._file = file
        self._left = sum(entry.nbytes for entry in entries.values())
        file.write(_header(entries))

    def write(self, block: npt.NDArray[Any]) -> None:
        """Writes the next elements, in C order, in the dtype that was announced."""
        self._left -= block.nbytes
        self._file.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)

    def finish(self) -> None:
        """Raises ValueError where not as many bytes were written as were announced."""
        if self._left:
            raise ValueError(f"{self._left} bytes are missing of the tensors that the header announces")


@contextmanager
def write_safetensors(path: Path, entries: Mapping[str, Entry]) -> Iterator[SafetensorsWriter]:
    """A new file with these tensors, to be written in this order. Raises OSError where the system refuses."""
    with open(path, "wb") as file:
        writer = SafetensorsWriter(file, entries)
        yield writer
        writer.finish()


def _header(entries: Mapping[str, Entry]) -> bytes:
    """The length, and JSON padded so that the elements begin at a multiple of 8."""
    header: dict[str, Any] = {"__metadata__": {"format": "pd"}}
    end = 0
    for name, entry in entries.items():
        begin, end = end, end + entry.nbytes
        header[name] = {"dtype": _CODES[entry.dtype], "shape": list(entry.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
