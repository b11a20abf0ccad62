"""Paddle's own layers, with the project's faster functions behind ``forward``."""

from __future__ import annotations

import paddle
from paddle import nn

from ppernie.nn import functional


class Linear(nn.Linear):
    """``paddle.nn.Linear``: weight [in, out], ``y = x @ W + b``."""

    def forward(self, input: paddle.Tensor) -> paddle.Tensor:
        return functional.linear(input, self.weight, self.bias)


class LayerNorm(nn.LayerNorm):
    """``paddle.nn.LayerNorm`` over the last dimension."""

    weight: paddle.Tensor
    bias: paddle.Tensor

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__(size, epsilon=epsilon)

    def forward(self, input: paddle.Tensor) -> paddle.Tensor:
        return functional.layer_norm(input, self.weight, self.bias, self._epsilon)


class ResidualNorm(LayerNorm):
    """Dropout of a sublayer's output, the residual connection and the layer norm after it."""

    def __init__(self, size: int, epsilon: float, dropout: float) -> None:
        super().__init__(size, epsilon)
        self.dropout = dropout

    def forward(self, x: paddle.Tensor, residual: paddle.Tensor) -> paddle.Tensor:  # type: ignore[override]
        """``norm(residual + dropout(x))``, all [..., size]."""
        return functional.residual_norm(x, residual, self.weight, self.bias, self._epsilon, self.dropout, self.training)


class Dropout(nn.Dropout):
    """``paddle.nn.Dropout`` in the upscale-in-train mode."""

    def forward(self, input: paddle.Tensor) -> paddle.Tensor:
        return functional.dropout(input, self.p, self.training)


class TiedDecoder(nn.Layer):
    """Scores over a vocabulary whose matrix is an embedding table; only ``bias`` [vocab] is its own, if it has one."""

    bias: paddle.Tensor | None

    def __init__(self, vocab_size: int, bias: bool = True) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.bias = self.create_parameter([vocab_size], is_bias=True) if bias else None

    def forward(self, x: paddle.Tensor, table: paddle.Tensor) -> paddle.Tensor:
        """``x @ table.T + bias``: [..., hidden] and [vocab, hidden] -> [..., vocab]."""
        scores = paddle.matmul(x, table, transpose_y=True)
        return scores if self.bias is None else scores + self.bias
