"""Files of ``torch.save`` written without torch, each tensor as it comes.

Source: ``torch/serialization.py``: a zip whose members are not compressed, with the pickle ``data.pkl`` and the
storages ``data/0``, ``data/1`` and so on. The pickle is written here operation by operation, since Python's own writer
would have to import what it names; ``pickles`` reads it back.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
Write = Callable[[npt.NDArray[Any]], None]


class TorchWriter:
    """A state dict that lies under one key, such as ``module`` in a checkpoint of DeepSpeed."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self._name = name
        self._tensors: list[bytes] = []

    @contextmanager
    def tensor(self, name: str, dtype: str, shape: tuple[int, ...]) -> Iterator[Write]:
        """Adds a tensor; what it gives writes the next elements, in C order."""
        key = str(len(self._tensors))
        self._tensors.append(_text(name) + _tensor(key, dtype, shape))
        with self._archive.open(zipfile.ZipInfo(f"{self._name}/data/{key}"), "w", force_zip64=True) as member:

            def write(block: npt.NDArray[Any]) -> None:
                member.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)

            yield write

    def finish(self, key: str) -> None:
        """Writes what makes the storages a state dict."""
        state = b"}(" + b"".join(self._tensors) + b"u"
        self._archive.writestr(zipfile.ZipInfo(f"{self._name}/data.pkl"), b"\x80\x02}" + _text(key) + state + b"s.")
        self._archive.writestr(zipfile.ZipInfo(f"{self._name}/byteorder"), b"little")
        self._archive.writestr(zipfile.ZipInfo(f"{self._name}/version"), b"3\n")


@contextmanager
def write_torch(path: Path, key: str) -> Iterator[TorchWriter]:
    """A new file with a state dict under a key. Raises OSError where the system refuses."""
    with zipfile.ZipFile(path, "w") as archive:
        writer = TorchWriter(archive, path.stem)
        yield writer
        writer.finish(key)


def _tensor(key: str, dtype: str, shape: tuple[int, ...]) -> bytes:
    """The call of ``torch._utils._rebuild_tensor_v2`` that makes the tensor of all of a storage."""
    size = int(np.prod(shape, dtype=np.int64))
    strides = tuple(int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(len(shape)))
    storage = _tuple(_text("storage"), _name("torch", _STORAGES[dtype]), _text(key), _text("cpu"), _number(size)) + b"Q"
    no_hooks = _name("collections", "OrderedDict") + b")R"
    offset, requires_grad = _number(0), b"\x89"
    arguments = _tuple(
        storage, offset, _tuple(*map(_number, shape)), _tuple(*map(_number, strides)), requires_grad, no_hooks
    )
    return _name("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def _name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _number(number: int) -> bytes:
    data = number.to_bytes(8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"
