"""Position-wise feed-forward network (Vaswani et al. 2017, section 3.3)."""

from __future__ import annotations

import paddle
from paddle import nn

from ppernie.nn.functional import ACTIVATIONS
from ppernie.nn.layers import Linear


class FeedForward(nn.Layer):
    """Linear, activation, linear.

    Args:
        hidden_size: width of input and output.
        intermediate_size: width in between.
        activation: a key of ``ppernie.nn.functional.ACTIVATIONS``.
    """

    def __init__(self, hidden_size: int, intermediate_size: int, activation: str) -> None:
        super().__init__()
        self.linear1 = Linear(hidden_size, intermediate_size)
        self.linear2 = Linear(intermediate_size, hidden_size)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """[..., hidden] -> [..., hidden]."""
        return self.linear2(self.activation(self.linear1(x)))
