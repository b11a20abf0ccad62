"""What quantising a layer does to a network's outputs, and which layers stay in float for it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import paddle
from paddle import nn
from tqdm import tqdm

from ppernie.errors import UserError
from ppernie.slim.quantization.network import rounding
from ppernie.slim.quantization.settings import Int8, WeightBits

if TYPE_CHECKING:
    from ppernie.tasks.base import Batch, Task


T = TypeVar("T")


class Sensitivity(NamedTuple):
    """Errors of outputs: the root of their mean square, relative to that of the outputs in float.

    Attributes:
        layers: with one layer quantised, by its name, the most sensitive first.
        error: with all layers quantised that are not in float.
        float_layers: that stay in float to keep to the budget.
    """

    layers: dict[str, float]
    error: float
    float_layers: list[str]


def measure(
    network: nn.Layer,
    task: Task,
    batches: Sequence[Batch],
    ranges: Mapping[str, float],
    weight_bits: WeightBits,
    budget: float | None,
) -> Sensitivity:
    """Quantises each layer alone, then all of them but as many of the most sensitive ones as the budget asks for.

    Args:
        network: in float; it is left as it was.
        batches: the task's.
        ranges: of the inputs of each layer that can be quantised.
        budget: largest error; None leaves no layer.

    Raises:
        UserError: the budget leaves nothing to quantise.
    """
    network.eval()
    plain = _outputs(network, task, batches)

    def error(names: Sequence[str]) -> float:
        with rounding(network, Int8(ranges={name: ranges[name] for name in names}, weight_bits=weight_bits)):
            return _relative(_outputs(network, task, batches), plain)

    alone = {name: error([name]) for name in _shown(list(ranges), "Each layer alone")}
    order = sorted(alone, key=lambda name: -alone[name])
    for count in _shown(range(len(order)), "Layers left in float"):
        total = error(order[count:])
        if budget is None or total <= budget:
            return Sensitivity({name: alone[name] for name in order}, total, order[:count])
    raise UserError(
        f"Slim.quantization.budget: {budget:g} leaves no layer to quantise; the least sensitive alone, {order[-1]}, "
        f"has an error of {alone[order[-1]]:.1e}"
    )


def _shown(things: Sequence[T], doing: str) -> Iterable[T]:
    """The same, each of which takes a pass over all batches, with a line of progress on a terminal."""
    return tqdm(things, doing, unit="layer", disable=not sys.stderr.isatty(), leave=False)


def _outputs(network: nn.Layer, task: Task, batches: Sequence[Batch]) -> list[np.ndarray]:
    with paddle.no_grad():
        return [task.run(network, batch).ravel() for batch in batches]


def _relative(outputs: list[np.ndarray], plain: list[np.ndarray]) -> float:
    difference, scale = np.concatenate(outputs) - np.concatenate(plain), np.concatenate(plain)
    return float(np.sqrt(np.square(difference).mean() / np.square(scale).mean()))
