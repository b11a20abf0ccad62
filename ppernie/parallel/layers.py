"""What a plan puts into a network in the place of plain layers: fleet's parallel layers, and a few around them."""

from __future__ import annotations

from typing import Any

import paddle
from paddle.distributed import fleet
from paddle.distributed.fleet.layers.mpu import mp_ops
from paddle.distributed.fleet.meta_parallel import (
    ColumnParallelLinear,
    ParallelCrossEntropy,
    RowParallelLinear,
    VocabParallelEmbedding,
)
from paddle.nn import functional as F

from ppernie.errors import UserError
from ppernie.nn.layers import TiedDecoder
from ppernie.parallel.cut import Cut
from ppernie.parallel.plan import Column, Heads, Kind, PerHead, Plan, Row, Vocab, VocabHead, own_parameters
from ppernie.parallel.sequence import SequenceColumn, SequenceRow, with_local_random


def cut_network(
    network: paddle.nn.Layer, plan: Plan, config: Any, degree: int, sequence: bool = False
) -> dict[str, Cut]:
    """Puts this rank's parallel layers into a lazily built network; returns the layout of every parameter.

    Args:
        network, plan, config, degree: as of ``Plan.cuts``.
        sequence: whether the ranks have parts of the sequences between the cut layers.

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
        replacement = _parallel(layer, rule.kind, name, degree, sequence)
        if replacement is not layer:
            _freeze_as(layer, replacement)
            for inner_name, inner in layer.named_children():
                setattr(replacement, inner_name, inner)
            parent, _, attribute = name.rpartition(".")
            setattr(_sublayer(network, parent), attribute, replacement)
    return cuts


def _freeze_as(plain: paddle.nn.Layer, parallel: paddle.nn.Layer) -> None:
    """What does not learn in the one does not in the other."""
    for name, parameter in plain._parameters.items():
        if parameter is not None and parallel._parameters.get(name) is not None:
            parallel._parameters[name].stop_gradient = parameter.stop_gradient


def cross_entropy_sum(logits: paddle.Tensor, labels: paddle.Tensor, classes: int) -> paddle.Tensor:
    """Sum of the cross entropies of logits, [n, classes] or cut to [n, classes / ranks], with labels int64 [n]."""
    if logits.shape[-1] == classes:
        return F.cross_entropy(logits, labels, reduction="sum")
    return ParallelCrossEntropy()(logits, labels.unsqueeze(-1)).sum()


def _sublayer(network: paddle.nn.Layer, name: str) -> paddle.nn.Layer:
    for part in name.split(".") if name else ():
        network = getattr(network, part)
    return network


def _parallel(layer: paddle.nn.Layer, kind: Kind, name: str, degree: int, sequence: bool) -> paddle.nn.Layer:
    column, row = (SequenceColumn, SequenceRow) if sequence else (ColumnParallelLinear, RowParallelLinear)
    with paddle.LazyGuard():
        if isinstance(kind, Column):
            inputs, outputs = layer.weight.shape
            return column(inputs, outputs, has_bias=layer.bias is not None, gather_output=False)
        if isinstance(kind, Row):
            inputs, outputs = layer.weight.shape
            return row(inputs, outputs, has_bias=layer.bias is not None, input_is_parallel=True)
        if isinstance(kind, Vocab):
            return VocabParallelEmbedding(*layer.weight.shape)
        if isinstance(kind, VocabHead):
            return _CutDecoder(layer.vocab_size // degree, layer.bias is not None)
        if isinstance(kind, PerHead):
            return _cut_in_place(layer, kind.axis, degree)
        if isinstance(kind, Heads):
            return _with_share_of_heads(layer, kind.attribute, name, degree)
    return layer


class _CutDecoder(TiedDecoder):
    """Scores over this rank's part of the vocabulary in training, where the loss is parallel; else over all of it."""

    def __init__(self, vocab_size: int, bias: bool) -> None:
        super().__init__(vocab_size, bias)
        if self.bias is not None:
            _mark(self.bias, 0)
        self._group = fleet.get_hybrid_communicate_group().get_model_parallel_group()

    def forward(self, x: paddle.Tensor, table: paddle.Tensor) -> paddle.Tensor:
        # Identity here, and the sum of all ranks' gradients on the way back.
        scores = super().forward(mp_ops._c_identity(x, group=self._group), table)
        return scores if self.training else mp_ops._c_concat(scores, group=self._group)


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
    with_local_random(layer)
    return layer
