"""The ranges of what enters each layer, from real inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle
from paddle import nn

from ppernie.errors import UserError
from ppernie.slim.quantization.observers import input_range
from ppernie.slim.quantization.settings import Observer

if TYPE_CHECKING:
    from ppernie.tasks.base import Batch

# Numbers that are kept of what enters a layer in one pass, besides the largest.
_KEPT = 16_384


def calibrate(
    network: nn.Layer,
    run: Callable[[nn.Layer, Batch], object],
    batches: Iterable[Batch],
    layers: Sequence[str],
    observer: Observer,
) -> dict[str, float]:
    """The range of each layer's inputs, by name; a layer that is never run has none.

    Args:
        network: in float; runs in eval mode.
        run: the network on a batch.
        layers: names of linear layers.

    Raises:
        UserError: a layer's inputs are not finite or all 0, or the observer's package is not installed.
    """
    seen: dict[str, list[np.ndarray]] = {}
    sublayers = dict(network.named_sublayers())
    network.eval()
    with ExitStack() as stack, paddle.no_grad():
        for name in layers:
            keep: Any = _keep(seen.setdefault(name, []))  # Paddle's annotation takes inputs for one tensor
            stack.callback(sublayers[name].register_forward_pre_hook(keep).remove)
        for batch in batches:
            run(network, batch)
    return {name: _range(name, np.concatenate(parts), observer) for name, parts in seen.items() if parts}


def _keep(parts: list[np.ndarray]) -> Callable[[nn.Layer, tuple[paddle.Tensor, ...]], None]:
    def hook(layer: nn.Layer, inputs: tuple[paddle.Tensor, ...]) -> None:
        magnitudes = np.abs(inputs[0].numpy())
        parts.append(np.append(magnitudes.ravel()[:: _stride(magnitudes)], magnitudes.max()))

    return hook


def _stride(magnitudes: np.ndarray) -> int:
    """Between the numbers that are kept; it shares no factor with the width, so that it comes by all channels."""
    stride = max(1, magnitudes.size // _KEPT)
    while math.gcd(stride, magnitudes.shape[-1]) > 1:
        stride += 1
    return stride


def _range(name: str, magnitudes: np.ndarray, observer: Observer) -> float:
    largest = float(magnitudes.max())
    if not np.isfinite(largest) or largest == 0:
        raise UserError(
            f"{name}: the numbers that enter it are {'all 0' if largest == 0 else 'not finite'}, so they have no "
            "range: the network is broken before that layer"
        )
    return input_range(observer, magnitudes)
