"""Layers over quantised weights and tables of half precision, which stay as they are stored."""

from __future__ import annotations

import paddle
from paddle import nn
from paddle.nn import functional as F

from ppernie.slim.weight_only import gpu
from ppernie.slim.weight_only.arithmetic import Scheme
from ppernie.slim.weight_only.products import linear


class WeightOnlyLinear(nn.Layer):
    """A linear layer whose weight is quantised; the bias is float, and so are inputs and outputs.

    Args:
        plain: the layer that it takes the place of; its bias is kept.

    Attributes:
        weight: int8 [out, in] or [out, in / 2], as it is stored; None until it is set.
        weight_scale: float16 [out] or [out, groups].
    """

    weight: paddle.Tensor | None
    weight_scale: paddle.Tensor | None

    def __init__(self, plain: nn.Linear, scheme: Scheme) -> None:
        super().__init__()
        self.scheme = scheme
        self.bias = plain.bias
        self.register_buffer("weight", None)  # type: ignore[arg-type]
        self.register_buffer("weight_scale", None)  # type: ignore[arg-type]
        self._arranged = False

    def arrange(self) -> None:
        """Turns the weight into what Paddle's products on this GPU take, where there are such."""
        assert self.weight is not None and self.weight_scale is not None
        if gpu.usable(self.scheme):
            self.weight, self.weight_scale = gpu.arranged(self.weight, self.weight_scale, self.scheme)
            self._arranged = True

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """[..., in] -> [..., out]."""
        assert self.weight is not None and self.weight_scale is not None
        if self._arranged:
            return gpu.linear(x, self.weight, self.weight_scale, self.scheme, self.bias)
        y = linear(x, self.weight, self.weight_scale, self.scheme)
        return y if self.bias is None else y + self.bias


class HalfEmbedding(nn.Layer):
    """An embedding whose table [rows, size] stays in half precision; the rows are float32."""

    weight: paddle.Tensor

    def __init__(self, table: paddle.Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", table)

    def forward(self, ids: paddle.Tensor) -> paddle.Tensor:
        """int64 [...] -> float32 [..., size]."""
        return F.embedding(ids, self.weight).astype("float32")


class HalfDecoder(nn.Layer):
    """``ppernie.nn.layers.TiedDecoder`` over a table of half precision."""

    def __init__(self, bias: paddle.Tensor | None) -> None:
        super().__init__()
        self.bias = bias

    def forward(self, x: paddle.Tensor, table: paddle.Tensor) -> paddle.Tensor:
        """``x @ table.T + bias``: [..., hidden] and float16 [vocab, hidden] -> [..., vocab]."""
        scores = linear(x, table)
        return scores if self.bias is None else scores + self.bias
