"""Sequence parallelism: between the cut layers each tensor-parallel rank has a part of every sequence.

Korthikanti et al. 2022, section 4.2.2, by fleet's layers. These have the sequence first; the network keeps
[batch, length, hidden].
"""

from __future__ import annotations

from typing import Any

import paddle
from paddle.distributed.fleet.layers.mpu.random import get_rng_state_tracker
from paddle.distributed.fleet.utils.sequence_parallel_utils import (
    ColumnSequenceParallelLinear,
    GatherOp,
    RowSequenceParallelLinear,
    ScatterOp,
)
from paddle.nn import functional as F

from ppernie.errors import UserError
from ppernie.parallel.plan import Plan, matches

# Added to the scores of what only fills a sequence up.
_HIDDEN = -1e4


class SequenceColumn(ColumnSequenceParallelLinear):
    """[batch, length / ranks, in] -> [batch, length, out / ranks]."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return _Turn.apply(super().forward(_Turn.apply(x)))


class SequenceRow(RowSequenceParallelLinear):
    """[batch, length, in / ranks] -> [batch, length / ranks, out]."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return _Turn.apply(super().forward(_Turn.apply(x)))


def cut_sequence(network: paddle.nn.Layer, plan: Plan, degree: int) -> list[str]:
    """Lets the layer of ``plan.sequence`` compute on parts of sequences, and all around it on whole ones.

    The layer is called with x [batch, length, hidden], an additive mask and a number of queries, as ``Encoder``.

    Returns:
        Names of the parameters that every rank has whole and whose gradient is a part on each: they must be summed.

    Raises:
        UserError: the network has no such layer.
    """
    layers = list(network.named_sublayers())
    found = [(name, layer) for name, layer in layers if plan.sequence and matches(name, [plan.sequence])]
    if not found:
        raise UserError("Distributed.sequence_parallel: the family's plan names no layer of this network for it")
    for name, layer in layers:
        # Each block by itself: recomputed, it must find the state of random numbers that its attention goes on from.
        if matches(name, plan.blocks):
            with_local_random(layer)
    names = []
    for name, layer in found:
        _wrap(layer, degree)
        whole = (p for p in layer.named_parameters() if not getattr(p[1], "is_distributed", False))
        names += [f"{name}.{parameter}" for parameter, _ in whole]
    return names


def _wrap(layer: paddle.nn.Layer, degree: int) -> None:
    plain = layer.forward

    def forward(x: paddle.Tensor, mask: paddle.Tensor | None = None, queries: int | None = None) -> paddle.Tensor:
        length = x.shape[1]
        fill = -length % degree
        if fill:
            mask = paddle.zeros([1, 1, 1, length], x.dtype) if mask is None else mask
            rows = fill if mask.shape[-2] > 1 else 0
            mask = F.pad(mask, [0, 0, 0, 0, 0, rows, 0, fill], value=_HIDDEN, pad_from_left_axis=True)
            x = F.pad(x, [0, 0, 0, fill, 0, 0], pad_from_left_axis=True)
        x = _Turn.apply(GatherOp.apply(_Turn.apply(plain(_Turn.apply(ScatterOp.apply(_Turn.apply(x))), mask))))
        return x[:, : queries or length]

    layer.forward = forward  # type: ignore[method-assign]


def with_local_random(layer: paddle.nn.Layer) -> None:
    """Gives a layer, which computes something else on each tensor-parallel rank, dropout of its own on each."""
    plain = layer.forward

    def forward(*arguments: Any, **named: Any) -> paddle.Tensor:
        with get_rng_state_tracker().rng_state():
            return plain(*arguments, **named)

    layer.forward = forward  # type: ignore[method-assign]


class _Turn(paddle.autograd.PyLayer):
    """Swaps batch and sequence; collectives take no view of another order, neither forward nor backward."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor) -> paddle.Tensor:
        return x.transpose([1, 0, 2]).contiguous()

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> paddle.Tensor:
        return gradient.transpose([1, 0, 2]).contiguous()
