"""Parameters of Paddle's static graph before 2.0: a folder with one file a variable, named as the variable.

Source: ``SerializeToStream`` in ``paddle/fluid/framework/lod_tensor.cc`` and ``tensor_util.cc``: version, levels of
detail, version, description in protobuf, elements.
"""

from __future__ import annotations

import struct
from pathlib import Path

from ppernie.errors import UserError
from ppernie.zoo.formats.reading import damaged, file_size, open_file, unsupported
from ppernie.zoo.formats.tensors import FileTensor, Span, StoredTensor

# ``VarType.Type`` of framework.proto.
_DTYPES = {
    0: "bool",
    1: "int16",
    2: "int32",
    3: "int64",
    4: "float16",
    5: "float32",
    6: "float64",
    20: "uint8",
    21: "int8",
    22: "bfloat16",
}
_MAX_DESCRIPTION = 1024
# Keys of the description's fields: number * 8 + wire type.
_DATA_TYPE, _DIMENSION, _PACKED_DIMENSIONS = 0x08, 0x10, 0x12


def read_static_params(folder: Path) -> dict[str, StoredTensor]:
    """The variables of a ``params`` folder by name.

    Raises:
        UserError: the folder is absent or empty, or a file in it is no variable.
    """
    paths = sorted(path for path in folder.glob("*") if path.is_file())
    if not paths:
        raise UserError(f"{folder}: holds no parameters; give the folder with one file for each")
    return {path.name: _read_variable(path) for path in paths}


def _read_variable(path: Path) -> FileTensor:
    with open_file(path) as file:
        try:
            version, levels = struct.unpack("<IQ", file.read(12))
            if version != 0 or levels != 0:
                raise unsupported(path, f"is a variable of version {version} with {levels} levels of detail")
            version, length = struct.unpack("<Ii", file.read(8))
            if version != 0 or not 0 < length <= _MAX_DESCRIPTION:
                raise damaged(path, "not a variable of Paddle")
            dtype, shape = _read_description(path, file.read(length))
        except (struct.error, IndexError) as error:
            raise damaged(path, "not a variable of Paddle, or cut off") from error
        return FileTensor(path, dtype, shape, Span(file.tell(), file_size(file) - file.tell()))


def _read_description(path: Path, data: bytes) -> tuple[str, tuple[int, ...]]:
    """The dtype and shape of a ``TensorDesc`` message. An IndexError means that it is cut off."""
    dtype, shape, position = None, [], 0
    while position < len(data):
        key, position = _varint(data, position)
        value, position = _varint(data, position)
        if key == _DATA_TYPE:
            dtype = value
        elif key == _DIMENSION:
            shape.append(value)
        elif key == _PACKED_DIMENSIONS:
            end = position + value
            while position < end:
                value, position = _varint(data, position)
                shape.append(value)
        else:
            raise damaged(path, "a description with an unknown field")
    if dtype not in _DTYPES:
        raise unsupported(path, f"is a variable of type {dtype}")
    return _DTYPES[dtype], tuple(shape)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and the position behind it."""
    value = shift = 0
    while data[position] & 0x80:
        value |= (data[position] & 0x7F) << shift
        shift += 7
        position += 1
    return value | data[position] << shift, position + 1
