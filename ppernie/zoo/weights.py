"""Weights into a file, and into a model, strictly."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ppernie.errors import UserError

if TYPE_CHECKING:
    import paddle


def write_weights(path: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Writes a safetensors file. Raises OSError where the system refuses."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file(dict(weights), path)
    except SafetensorError as error:
        # The library tells the system's error in its text alone.
        found = re.search(r"os error (\d+)", str(error))
        if found is None:
            raise
        number = int(found.group(1))
        raise OSError(number, os.strerror(number)) from error


def load_weights(model: paddle.nn.Layer, weights: Mapping[str, np.ndarray], source: str) -> None:
    """Sets every parameter of a model; names and shapes must agree exactly.

    Raises:
        UserError: lists what is missing, unexpected or of another shape.
    """
    import paddle

    own = dict(model.named_parameters())
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
    with paddle.no_grad():
        for name, parameter in own.items():
            parameter.set_value(weights[name].astype(np.float32, copy=False))
