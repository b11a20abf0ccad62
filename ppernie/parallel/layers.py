"""What a plan puts into a network in the place of plain layers: fleet's parallel layers, and a few around them."""

from __future__ import annotations

from typing import Any

import paddle
from paddle.distributed.fleet.layers.mpu import mp_ops
from paddle.distributed.fleet.layers.mpu.random import get_rng_state_tracker
from paddle.distributed.fleet.meta_parallel import (
    ColumnParallelLinear,
    ParallelCrossEntropy,
    RowParallelLinear,
    VocabParallelEmbedding,
)

from ppernie.errors import UserError
from ppernie.nn.layers import TiedDecoder
from ppernie.parallel.cut import Cut
from ppernie.parallel.plan import Column, Heads, Kind, PerHead, Plan, Row, Vocab, VocabHead, own_parameters

# The state of random numbers that differ between tensor-parallel ranks, as fleet names it.
LOCAL_RANDOM = "local_seed"


def cut_network(network: paddle.nn.Layer, plan: Plan, config: Any, degree: int) -> dict[str, Cut]:
    """Puts this rank's parallel layers into a lazily built network; returns the layout of every parameter.

    Raises:
        UserError: the plan does not fit the network, or the network to the degree.
    """
    cuts = plan.cuts(network, config, degree)
    if degree == 1:
        return cuts
    for name, layer in list(network.named_sublayers()):
        rule = plan.rule(name, own_parameters(layer))
        if rule is None:
            continue
        replacement = _parallel(layer, rule.kind, name, degree)
        if replacement is not layer:
            parent, _, attribute = name.rpartition(".")
            setattr(_sublayer(network, parent), attribute, replacement)
    return cuts


def cross_entropy_sum(logits: paddle.Tensor, labels: paddle.Tensor) -> paddle.Tensor:
    """Sum of the cross entropies of logits [n, vocab / ranks], cut by vocabulary, with labels int64 [n]."""
    return ParallelCrossEntropy()(logits, labels.unsqueeze(-1)).sum()


def _sublayer(network: paddle.nn.Layer, name: str) -> paddle.nn.Layer:
    for part in name.split(".") if name else ():
        network = getattr(network, part)
    return network


def _parallel(layer: paddle.nn.Layer, kind: Kind, name: str, degree: int) -> paddle.nn.Layer:
    with paddle.LazyGuard():
        if isinstance(kind, Column):
            inputs, outputs = layer.weight.shape
            return ColumnParallelLinear(inputs, outputs, has_bias=layer.bias is not None, gather_output=False)
        if isinstance(kind, Row):
            inputs, outputs = layer.weight.shape
            return RowParallelLinear(inputs, outputs, has_bias=layer.bias is not None, input_is_parallel=True)
        if isinstance(kind, Vocab):
            return VocabParallelEmbedding(*layer.weight.shape)
        if isinstance(kind, VocabHead):
            return _CutDecoder(layer.bias.shape[0] // degree)
        if isinstance(kind, PerHead):
            return _cut_in_place(layer, kind.axis, degree)
        if isinstance(kind, Heads):
            return _with_share_of_heads(layer, kind.attribute, name, degree)
    return layer


class _CutDecoder(TiedDecoder):
    """Scores over this rank's part of the vocabulary."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        _mark(self.bias, 0)

    def forward(self, x: paddle.Tensor, table: paddle.Tensor) -> paddle.Tensor:
        # Identity here, and the sum of all ranks' gradients on the way back.
        return super().forward(mp_ops._c_identity(x), table)


def _cut_in_place(layer: paddle.nn.Layer, axis: int, degree: int) -> paddle.nn.Layer:
    shape = list(layer.weight.shape)
    shape[axis] //= degree
    layer.weight = layer.create_parameter(shape)
    _mark(layer.weight, axis)
    return layer


def _mark(parameter: paddle.Tensor, axis: int) -> None:
    """Tells fleet that ranks hold different values, which it would otherwise overwrite by those of the first."""
    parameter.is_distributed = True
    parameter.split_axis = axis


def _with_share_of_heads(layer: paddle.nn.Layer, attribute: str, name: str, degree: int) -> paddle.nn.Layer:
    heads = getattr(layer, attribute)
    if heads % degree:
        raise UserError(f"{name}: {heads} attention heads do not divide by Distributed.mp = {degree}")
    setattr(layer, attribute, heads // degree)
    plain = layer.forward

    def forward(*arguments: Any, **named: Any) -> paddle.Tensor:
        # Other heads, so other dropout than on the other ranks.
        with get_rng_state_tracker().rng_state(LOCAL_RANDOM):
            return plain(*arguments, **named)

    layer.forward = forward  # type: ignore[method-assign]
    return layer
