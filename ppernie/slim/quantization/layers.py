"""Layers that compute in float32 what INT8 computes; gradients pass straight through the rounding.

Whole numbers lie in -128..127 for inputs, and in -127..127 or, of 7 bits, -63..63 for weights. They stand for
themselves times a step: one for all inputs of a layer, one for each output of its weight. Gradients
are those of the identity inside the range, and 0 outside (Bengio et al. 2013, arXiv:1308.3432; Jacob et al. 2018,
arXiv:1712.05877, section 3).
"""

from __future__ import annotations

import paddle
from paddle import nn
from paddle.nn import functional as F

from ppernie.nn import functional
from ppernie.slim.quantization.settings import LARGEST, Tables, WeightBits, largest_weight


def rounded(x: paddle.Tensor, step: paddle.Tensor | float) -> paddle.Tensor:
    """The multiples of ``step``, which is broadcast, that are next to the numbers of ``x``."""
    scaled = x / step
    return (scaled + (paddle.round(scaled) - scaled).detach()) * step


def steps(weight: paddle.Tensor, axis: int, largest: int = LARGEST) -> paddle.Tensor:
    """Of the rows or columns along ``axis`` the magnitude over ``largest``, a dimension of 1 in its place; no 0."""
    step = weight.detach().abs().max(axis, keepdim=True) / largest
    return paddle.where(step == 0, paddle.ones_like(step), step)


class Int8Linear(nn.Layer):
    """A linear layer whose inputs and weight are rounded to INT8; the bias and the outputs are float.

    Args:
        plain: the layer that it takes the place of; its parameters are kept.
        largest: magnitude that inputs are cut to.
        weight_bits: of the weight.
    """

    def __init__(self, plain: nn.Linear, largest: float, weight_bits: WeightBits) -> None:
        super().__init__()
        self.weight, self.bias = plain.weight, plain.bias
        self.step = largest / LARGEST
        self.largest_weight = largest_weight(weight_bits)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """[..., in] -> [..., out]."""
        weight = rounded(self.weight, steps(self.weight, 0, self.largest_weight))
        entering = rounded(paddle.clip(x, -(LARGEST + 1) * self.step, LARGEST * self.step), self.step)
        return functional.linear(entering, weight, self.bias)


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
