"""Files of ``safetensors``: 8 bytes of header length, a JSON header, the tensors without gaps.

Source: the format's description at https://huggingface.co/docs/safetensors. The library's own reader maps the file
into memory or copies it; this one knows only where the tensors lie.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ppernie.zoo.formats.reading import damaged, file_size, open_file, unsupported
from ppernie.zoo.formats.tensors import FileTensor, Span, StoredTensor

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
# A hundred thousand tensors need less.
_MAX_HEADER = 16 * 1024 * 1024


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a file by name, in the file's order.

    Raises:
        UserError: the file is absent, is no safetensors file, or breaks the format's rules in any point.
    """
    header, start, size = _read_header(path)
    entries = [(name, *_entry(path, name, entry)) for name, entry in header.items() if name != "__metadata__"]
    entries.sort(key=lambda entry: (entry[3], entry[4]))
    tensors: dict[str, StoredTensor] = {}
    position = 0
    for name, dtype, shape, begin, end in entries:
        if begin != position:
            raise damaged(path, f"{name!r} overlaps its neighbour or leaves a gap")
        tensors[name] = FileTensor(path, dtype, shape, Span(start + begin, end - begin))
        position = end
    if start + position != size:
        raise damaged(path, f"it should have {start + position} bytes and has {size}")
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    """The free texts of the header, such as ``{"format": "pt"}``.

    Raises:
        UserError: the file is absent or its header is broken.
    """
    header, _, _ = _read_header(path)
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise damaged(path, "its metadata are not texts")
    return metadata


def _read_header(path: Path) -> tuple[dict[str, Any], int, int]:
    """The header, where it ends, and the file's size."""
    with open_file(path) as file:
        size = file_size(file)
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise damaged(path, f"not a safetensors file, or one whose header of {length} bytes is cut off")
        text = file.read(length)
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"its header is not JSON: {str(error)[:200]}") from error
    if not isinstance(header, dict):
        raise damaged(path, "its header is not a JSON object")
    return header, 8 + length, size


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands twice")
    return values


def _entry(path: Path, name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """The dtype, the shape and the place of a tensor, counted from the end of the header."""
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise damaged(path, f"the header's entry of {name!r} is incomplete") from None
    if not isinstance(dtype, str) or not isinstance(shape, list):
        raise damaged(path, f"the header's entry of {name!r} is broken")
    if dtype not in _DTYPES:
        raise unsupported(path, f"{name!r} is a tensor of {dtype[:20]!r}")
    if not (type(begin) is int and type(end) is int and 0 <= begin <= end):
        raise damaged(path, f"{name!r} has no valid place")
    return _DTYPES[dtype], tuple(shape), begin, end
