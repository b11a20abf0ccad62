"""Files of ``torch.save``: a pickle of tensors, and their storages as raw bytes.

Source: ``torch/serialization.py`` and ``torch/_utils.py``. Since torch 1.6 the file is a zip, whose members are not
compressed; before, pickles and storages stand one after the other. Torch is not needed to read either.
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ppernie.errors import UserError
from ppernie.zoo.formats import numpy_arrays
from ppernie.zoo.formats.pickles import Name, read_pickle
from ppernie.zoo.formats.reading import damaged, file_size, open_file, unsupported
from ppernie.zoo.formats.tensors import FileTensor, Span, StoredTensor, check_shape, item_size
from ppernie.zoo.formats.zips import ZIP_MAGIC, open_zip, stored_span

# A pickle of the number that opens every file before torch 1.6.
LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_VERSION = 1001
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "UntypedStorage": "uint8",
    "BoolStorage": "bool",
}


@dataclass(frozen=True)
class _Storage:
    dtype: str
    key: str


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch(path: Path, key: tuple[str, ...] = ()) -> dict[str, StoredTensor]:
    """The tensors of a state dict by name, in the file's order.

    Args:
        path: the file.
        key: where the state dict lies in the file, such as ``("module",)`` in a checkpoint of DeepSpeed. What lies
            beside it is not looked at.

    Raises:
        UserError: the file is absent, damaged, has no state dict of tensors at that key, or wants to run code.
    """
    with open_file(path) as file:
        is_zip = file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    values, places = _read_zip(path) if is_zip else _read_legacy(path)
    for part in key:
        if not isinstance(values, dict) or part not in values:
            raise UserError(f"{path}: has no entry {part!r}; it holds {_shown(values)}")
        values = values[part]
    if not isinstance(values, dict):
        raise unsupported(path, f"holds {_shown(values)} in place of a dict of tensors")
    return {name: _stored(path, name, value, places) for name, value in values.items()}


def _read_zip(path: Path) -> tuple[Any, dict[str, Span]]:
    """The object of the pickle, and the place of every storage."""
    with open_zip(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise unsupported(path, "is a zip file but not one of torch.save")
        folder = pickles[0].removesuffix("data.pkl")
        order = members.get(f"{folder}byteorder")
        if order is not None:
            _check_order(archive, order, path)
        places = {
            name.removeprefix(f"{folder}data/"): stored_span(archive, member, path)
            for name, member in members.items()
            if name.startswith(f"{folder}data/")
        }
        span = stored_span(archive, members[pickles[0]], path)
    with open_file(path) as file:
        file.seek(span.offset)
        return read_pickle(file, path, span.offset + span.length, _CALLS, _storage), places


def _check_order(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    with archive.open(member) as file:
        if file.read(len(b"little")) != b"little":
            raise unsupported(path, "holds big-endian numbers")


def _read_legacy(path: Path) -> tuple[Any, dict[str, Span]]:
    """The object of the pickle, and the place of every storage."""
    storages: dict[str, _Storage] = {}

    def remember(value: Any) -> _Storage:
        storage = _storage(value)
        return storages.setdefault(storage.key, storage)

    with open_file(path) as file:
        size = file_size(file)
        file.seek(len(LEGACY_MAGIC))
        version = read_pickle(file, path, size, {})
        system = read_pickle(file, path, size, {})
        if version != _LEGACY_VERSION or not isinstance(system, dict) or system.get("little_endian") is not True:
            raise unsupported(path, "is a file of an unknown version of torch, or holds big-endian numbers")
        values = read_pickle(file, path, size, _CALLS, remember)
        keys = read_pickle(file, path, size, {})
        if not isinstance(keys, list) or not all(isinstance(key, str) and key in storages for key in keys):
            raise damaged(path, "the list of its storages is broken")
        places: dict[str, Span] = {}
        for key in keys:
            places[key] = _next_storage(file, path, storages[key], size)
        return values, places


def _next_storage(file: BinaryIO, path: Path, storage: _Storage, size: int) -> Span:
    """The place of the storage at the file's position: the number of elements, then the elements."""
    length = int.from_bytes(file.read(8), "little") * item_size(storage.dtype)
    offset = file.tell()
    if offset + length > size:
        raise damaged(path, "is shorter than it says")
    file.seek(offset + length)
    return Span(offset, length)


def _stored(path: Path, name: Any, value: Any, places: dict[str, Span]) -> FileTensor:
    if not isinstance(name, str) or not isinstance(value, _Tensor):
        raise unsupported(path, f"the entry {name!r} is no named tensor but {_shown(value)}")
    dtype, shape = value.storage.dtype, value.shape
    check_shape(path, dtype, shape)
    if _same_order(shape, value.strides, _strides(shape)):
        transposed = False
    elif _same_order(shape, value.strides, _strides(shape[::-1])[::-1]):
        transposed = True
    else:
        raise unsupported(path, f"{name!r} is a tensor whose elements lie scattered")
    place = places.get(value.storage.key)
    begin, length = value.offset * item_size(dtype), math.prod(shape) * item_size(dtype)
    if place is None or not 0 <= begin <= begin + length <= place.length:
        raise damaged(path, f"{name!r} reaches beyond its storage")
    return FileTensor(path, dtype, shape, Span(place.offset + begin, length), transposed)


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of elements in C order."""
    return tuple(math.prod(shape[index + 1 :]) for index in range(len(shape)))


def _same_order(shape: tuple[int, ...], strides: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether strides agree; those of a dimension of one, or of no elements, mean nothing."""
    agree = all(one == two for length, one, two in zip(shape, strides, wanted, strict=True) if length != 1)
    return agree or 0 in shape


def _shown(value: Any) -> str:
    """What a value is, in a few words: a file may nest its values endlessly."""
    if isinstance(value, dict):
        names = ", ".join(repr(name) for name in list(value)[:10])
        return f"a dict of {names}" if names else "an empty dict"
    return f"an object of type {type(value).__name__.lstrip('_')}"


# What a pickle of torch calls.


def _storage(value: Any) -> _Storage:
    # Behind the key come the device, the number of elements and, in old files, the view of another storage.
    kind, name, key, _, _, *view = value
    if kind != "storage" or not isinstance(name, Name) or not isinstance(key, str) or view not in ([], [None]):
        raise TypeError("a persistent id that is no storage")
    return _Storage(_STORAGES[name.name.removesuffix("_")], key)


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage) or type(offset) is not int:
        raise TypeError("a tensor without a storage")
    if not isinstance(shape, tuple) or not isinstance(strides, tuple) or len(shape) != len(strides):
        raise TypeError("a tensor without a shape")
    return _Tensor(storage, offset, shape, strides)


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _ordered_dict() -> dict[Any, Any]:
    # Its items come after the call.
    return {}


def _size(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape


_CALLS = {
    **numpy_arrays.CALLS,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch", "Size"): _size,
    ("collections", "OrderedDict"): _ordered_dict,
}
