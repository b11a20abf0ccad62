"""Layers that compute in float32 what INT8 computes; gradients pass straight through the rounding.

Whole numbers lie in -128..127 for inputs and -127..127 for weights, and stand for themselves times a step: one for all
inputs of a layer, one for each output of its weight. Gradients are those of the identity inside the range, and 0
outside (Bengio et al. 2013, arXiv:1308.3432; Jacob et al. 2018, arXiv:1712.05877, section 3).
"""

from __future__ import annotations

import paddle
from paddle import nn
from paddle.nn import functional as F

from ppernie.nn import functional
from ppernie.slim.quantization.settings import LARGEST, Tables


def rounded(x: paddle.Tensor, step: paddle.Tensor | float) -> paddle.Tensor:
    """The numbers of ``x`` as INT8 keeps them; ``step`` is broadcast."""
    bounded = paddle.clip(x / step, -LARGEST - 1, LARGEST)
    return (bounded + (paddle.round(bounded) - bounded).detach()) * step


def steps(weight: paddle.Tensor, axis: int) -> paddle.Tensor:
    """Of the rows or columns along ``axis`` the largest magnitude over 127, a dimension of 1 in its place; no 0."""
    step = weight.detach().abs().max(axis, keepdim=True) / LARGEST
    return paddle.where(step == 0, paddle.ones_like(step), step)


class Int8Linear(nn.Layer):
    """A linear layer whose inputs and weight are rounded to INT8; the bias and the outputs are float.

    Args:
        plain: the layer that it takes the place of; its parameters are kept.
        largest: magnitude that inputs are cut to.
    """

    def __init__(self, plain: nn.Linear, largest: float) -> None:
        super().__init__()
        self.weight, self.bias = plain.weight, plain.bias
        self.step = largest / LARGEST

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """[..., in] -> [..., out]."""
        weight = rounded(self.weight, steps(self.weight, 0))
        return functional.linear(rounded(x, self.step), weight, self.bias)


class Int8Embedding(nn.Layer):
    """An embedding whose table is rounded to INT8.

    Args:
        plain: the layer that it takes the place of.
        scales: whether each row has a step, or the table.
    """

    def __init__(self, plain: nn.Embedding, scales: Tables) -> None:
        super().__init__()
        self.weight, self.scales = plain.weight, scales

    def forward(self, ids: paddle.Tensor) -> paddle.Tensor:
        """int64 [...] -> [..., size]."""
        rows = F.embedding(ids, self.weight)
        return rounded(rows, steps(rows, -1) if self.scales == "row" else steps(self.weight.flatten(), 0))
