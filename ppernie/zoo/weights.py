"""Weights into a model, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ppernie.errors import UserError

if TYPE_CHECKING:
    import paddle


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
