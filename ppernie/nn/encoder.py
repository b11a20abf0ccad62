"""The post-norm Transformer encoder of BERT and ERNIE."""

from __future__ import annotations

import paddle
from paddle import nn

from ppernie.nn.attention import SelfAttention
from ppernie.nn.feed_forward import FeedForward
from ppernie.nn.layers import ResidualNorm


class EncoderLayer(nn.Layer):
    """Attention and feed-forward, each added to its input and normalised afterwards."""

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        intermediate_size: int,
        activation: str,
        dropout: float,
        attention_dropout: float,
        epsilon: float,
        head_size: int | None = None,
    ) -> None:
        super().__init__()
        self.self_attn = SelfAttention(hidden_size, num_heads, attention_dropout, head_size)
        self.norm1 = ResidualNorm(hidden_size, epsilon, dropout)
        self.feed_forward = FeedForward(hidden_size, intermediate_size, activation)
        self.norm2 = ResidualNorm(hidden_size, epsilon, dropout)

    def forward(self, x: paddle.Tensor, mask: paddle.Tensor | None = None, queries: int | None = None) -> paddle.Tensor:
        """[batch, length, hidden] -> the same, or [batch, queries, hidden], the outputs of the first positions only."""
        residual = x if queries is None else x[:, :queries]
        x = self.norm1(self.self_attn(x, mask, queries), residual)
        return self.norm2(self.feed_forward(x), x)


class Encoder(nn.Layer):
    """A stack of ``num_layers`` encoder layers; the other arguments are ``EncoderLayer``'s."""

    def __init__(self, num_layers: int, **layer: object) -> None:
        super().__init__()
        self.layers = nn.LayerList([EncoderLayer(**layer) for _ in range(num_layers)])  # type: ignore[arg-type]

    def forward(self, x: paddle.Tensor, mask: paddle.Tensor | None = None, queries: int | None = None) -> paddle.Tensor:
        """[batch, length, hidden] -> the same, or [batch, queries, hidden]: the last layer can leave positions out."""
        *lower, last = self.layers
        for layer in lower:
            x = layer(x, mask)
        return last(x, mask, queries)
