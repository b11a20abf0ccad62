"""The two files of a rank: its slices as safetensors, and the index that says what they are.

The checksums in the index are of blocks, so that reading a part of a slice proves that part.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import xxhash

from ppernie.checkpoints.slices import Box, Slice

if TYPE_CHECKING:
    from typing_extensions import Buffer

BLOCK = 1024 * 1024

# A stored dtype: its name in a safetensors header, and how its elements lie in memory.
_DTYPES = {
    "float64": ("F64", "<f8"),
    "float32": ("F32", "<f4"),
    "float16": ("F16", "<f2"),
    "bfloat16": ("BF16", "<u2"),
    "int64": ("I64", "<i8"),
    "int32": ("I32", "<i4"),
    "int16": ("I16", "<i2"),
    "int8": ("I8", "i1"),
    "uint8": ("U8", "u1"),
    "bool": ("BOOL", "?"),
}


@dataclass(frozen=True)
class StoredSlice:
    """A slice in a rank's file.

    Attributes:
        name, dtype, shape, offset: as the ``Slice`` had them.
        size: its lengths.
        key: its name in the safetensors header.
        begin: its first byte in the file.
        checksums: of its blocks of ``BLOCK`` bytes, the last one being what is left.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: tuple[int, ...]
    size: tuple[int, ...]
    key: str
    begin: int
    checksums: tuple[str, ...]

    @property
    def box(self) -> Box:
        """Where it lies in the whole tensor."""
        return Box(self.offset, self.size)

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return self.box.volume * memory_dtype(self.dtype).itemsize


@dataclass(frozen=True)
class RankIndex:
    """What a rank's index says: the length and checksum of the data file's header, and the slices behind it."""

    header_bytes: int
    header_checksum: str
    slices: tuple[StoredSlice, ...]

    @classmethod
    def parse(cls, text: bytes) -> RankIndex:
        """Raises KeyError, TypeError or ValueError where the text is no index."""
        values = json.loads(text)
        tuples = ("shape", "offset", "size", "checksums")
        slices = [StoredSlice(**{**entry, **{key: tuple(entry[key]) for key in tuples}}) for entry in values["slices"]]
        return cls(values["header_bytes"], values["header_checksum"], tuple(slices))


def data_name(rank: int) -> str:
    """The file of a rank's slices."""
    return f"rank_{rank:05d}.safetensors"


def index_name(rank: int) -> str:
    """The file that says what they are."""
    return f"rank_{rank:05d}.json"


def memory_dtype(dtype: str) -> np.dtype[Any]:
    """How elements of a stored dtype lie in memory: bfloat16 as uint16."""
    return np.dtype(_DTYPES[dtype][1])


def checksum(data: Buffer) -> str:
    """XXH3 of 64 bits, in hexadecimal."""
    return xxhash.xxh3_64_hexdigest(data)


def write_rank(folder: Path, rank: int, slices: Sequence[Slice]) -> dict[str, dict[str, Any]]:
    """Writes and syncs the files of a rank, with one slice at a time in memory.

    Returns:
        What the marker is to say of each file.

    Raises:
        OSError: the system refuses.
        ValueError: a slice has a dtype that no checkpoint holds, or stands there twice.
    """
    # Larger elements first, so that all lie at multiples of their size.
    ordered = sorted(slices, key=lambda item: -memory_dtype(item.dtype).itemsize)
    keys = [_key(item) for item in ordered]
    if len(set(keys)) != len(keys):
        raise ValueError(f"rank {rank} hands a slice over twice")
    header = _header(keys, ordered)
    stored = []
    with open(folder / data_name(rank), "wb") as file:
        file.write(header)
        for key, item in zip(keys, ordered, strict=True):
            begin = file.tell()
            stored.append(
                StoredSlice(
                    item.name, item.dtype, item.shape, item.offset, item.box.size, key, begin, _write(file, item)
                )
            )
        size = file.tell()
        file.flush()
        os.fsync(file.fileno())
    index = RankIndex(len(header), checksum(header), tuple(stored))
    files = write_synced(folder / index_name(rank), json.dumps(asdict(index)).encode())
    return {data_name(rank): {"bytes": size}, **files}


def write_synced(path: Path, content: bytes) -> dict[str, dict[str, Any]]:
    """Writes and syncs a small file; returns what the marker is to say of it."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return {path.name: {"bytes": len(content), "checksum": checksum(content)}}


def _key(item: Slice) -> str:
    if item.box.size == item.shape:
        return item.name
    return f"{item.name}@{','.join(map(str, item.offset))}"


def _header(keys: Sequence[str], slices: Sequence[Slice]) -> bytes:
    """The head of a safetensors file: its length, and JSON padded so that the elements begin at a multiple of 8."""
    entries: dict[str, Any] = {}
    end = 0
    for key, item in zip(keys, slices, strict=True):
        begin, end = end, end + item.box.volume * memory_dtype(item.dtype).itemsize
        code = _DTYPES[item.dtype][0]
        entries[key] = {"dtype": code, "shape": list(item.box.size), "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _write(file: BinaryIO, item: Slice) -> tuple[str, ...]:
    """Writes the elements and returns the checksums of their blocks."""
    array = np.ascontiguousarray(item.elements())
    data = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    checksums = []
    for start in range(0, len(data), BLOCK):
        block = data[start : start + BLOCK]
        checksums.append(checksum(block))
        file.write(block)
    return tuple(checksums)
