"""Weights into a file, and into a network, strictly."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ppernie.cpu import cpu_count
from ppernie.errors import UserError
from ppernie.zoo.formats import StoredTensor
from ppernie.zoo.layout import Tensor, read_into

if TYPE_CHECKING:
    import paddle

# Each may hold one foreign tensor while it is turned.
_READERS = 4

Network = TypeVar("Network", bound="paddle.nn.Layer")


def write_weights(path: Path, weights: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    """Writes a safetensors file. Raises OSError where the system refuses."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file(dict(weights), path, None if metadata is None else dict(metadata))
    except SafetensorError as error:
        # The library tells the system's error in its text alone.
        found = re.search(r"os error (\d+)", str(error))
        if found is None:
            raise
        number = int(found.group(1))
        raise OSError(number, os.strerror(number)) from error


def lazy_network(build: Callable[[], Network]) -> Network:
    """What ``build`` makes, without the time that drawing its parameters takes: they have shapes, and no memory yet."""
    import paddle

    with paddle.LazyGuard():
        return build()


def allocate(parameters: Iterable[paddle.Tensor]) -> None:
    """Gives parameters of a lazily built network their memory, and no values."""
    import paddle

    for parameter in parameters:
        paddle.empty(parameter.shape, parameter.dtype)._share_buffer_to(parameter)


def load_weights(model: paddle.nn.Layer, weights: Mapping[str, Tensor], source: str, but: Collection[str] = ()) -> None:
    """Sets every parameter of a model; names and shapes must agree exactly.

    Args:
        but: names of parameters that stay as they are.

    Raises:
        UserError: lists what is missing, unexpected or of another shape; or the weights cannot be read.
    """
    own = {name: parameter for name, parameter in model.named_parameters() if name not in but}
    check_fit(own, weights, source)
    fill(own, weights)


def check_fit(own: Mapping[str, paddle.Tensor], weights: Mapping[str, Tensor], source: str) -> None:
    """Compares names and shapes of a model's parameters with those of weights. Raises UserError where they differ."""
    problems = [f"missing {name}" for name in own if name not in weights]
    problems += [f"unexpected {name}" for name in weights if name not in own]
    problems += [
        f"{name} has shape {list(weights[name].shape)}, the model {list(parameter.shape)}"
        for name, parameter in own.items()
        if name in weights and list(weights[name].shape) != list(parameter.shape)
    ]
    if problems:
        more = f" and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise UserError(f"{source} does not fit the model: {'; '.join(problems[:10])}{more}")


def fill(parameters: Mapping[str, paddle.Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Sets the float32 parameters that ``tensors`` names to tensors of their shapes.

    On the CPU, a tensor that lies in its file as it is needed becomes the parameter without a copy: its pages are read
    when they are used, processes share them, and training writes to its own. The file may be removed or replaced
    meanwhile, but must not be overwritten in place.

    Raises:
        UserError: a tensor cannot be read.
    """
    import paddle

    copied: list[tuple[np.ndarray, Tensor]] = []
    for name, tensor in tensors.items():
        parameter = parameters[name]
        if not parameter.place.is_cpu_place():
            staged = np.empty(parameter.shape, np.float32)
            read_into(tensor, staged)
            with paddle.no_grad():
                parameter.set_value(staged)
        elif isinstance(tensor, StoredTensor) and tensor.dtype == "float32" and (mapped := tensor.map()) is not None:
            paddle.from_dlpack(mapped)._share_buffer_to(parameter)  # type: ignore[arg-type]
        else:
            # Straight into the parameter's memory: a copy in between would be a second one of the model.
            numbers = (ctypes.c_float * parameter.size).from_address(parameter.data_ptr())
            copied.append((np.ctypeslib.as_array(numbers).reshape(parameter.shape), tensor))
    with ThreadPoolExecutor(min(_READERS, cpu_count())) as pool:
        # list() raises what a thread raised.
        list(pool.map(lambda pair: read_into(pair[1], pair[0]), copied))
