"""Files of ``paddle.save``: a pickle of a dict from names to tensors.

Source: ``paddle/framework/io.py`` and ``io_utils.py``. A state dict is saved as plain arrays together with a table of
Paddle's own parameter names; tensors elsewhere are saved as ``(parameter name, array)``. With protocols 2 and 3 an
array of more than 1 GB is cut into flat parts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ppernie.zoo.formats import numpy_arrays
from ppernie.zoo.formats.numpy_arrays import Array
from ppernie.zoo.formats.pickles import read_pickle
from ppernie.zoo.formats.reading import damaged, file_size, open_file, unsupported
from ppernie.zoo.formats.tensors import JoinedTensor, StoredTensor

_NAME_TABLE = "StructuredToParameterName@@"
_CUT = "UnpackBigParamInfor@@"


def _pair(items: Any) -> tuple[Any, Any]:
    name, array = items
    return name, array


_CALLS = {**numpy_arrays.CALLS, ("builtins", "tuple"): _pair, ("__builtin__", "tuple"): _pair}


def read_pdparams(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a state dict by name, in the file's order.

    An array of uint16 is taken as bfloat16, which Paddle saves so. The table of Paddle's own parameter names is
    skipped; nothing else is.

    Raises:
        UserError: the file is absent, damaged, holds anything but tensors, or wants to run code.
    """
    with open_file(path) as file:
        values = read_pickle(file, path, file_size(file), _CALLS)
    if not isinstance(values, dict):
        raise unsupported(path, f"holds an object of type {type(values).__name__} in place of a dict of tensors")
    cut = values.pop(_CUT, {})
    values.pop(_NAME_TABLE, None)
    tensors: dict[str, StoredTensor] = {}
    for name, value in values.items():
        array = value[1] if isinstance(value, tuple) and len(value) == 2 else value
        if not isinstance(name, str) or not isinstance(array, Array):
            raise unsupported(path, f"the entry {name!r} is no named tensor (type {type(value).__name__})")
        tensors[name] = array.tensor(path)
    return _join(path, tensors, cut)


def _join(path: Path, tensors: dict[str, StoredTensor], cut: Any) -> dict[str, StoredTensor]:
    """Puts the parts of large tensors together."""
    try:
        for name, info in cut.items():
            parts = [tensors.pop(part) for part in info["slices"] if isinstance(part, str)]
            tensors[name] = JoinedTensor(path, parts[0].dtype, tuple(info["OriginShape"]), tuple(parts))
    except (AttributeError, IndexError, KeyError, TypeError):
        raise damaged(path, "the list of its cut tensors is broken") from None
    return tensors
