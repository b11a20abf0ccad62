"""Multi-head self-attention (Vaswani et al. 2017, section 3.2)."""

from __future__ import annotations

import paddle
from paddle import nn

from ppernie.nn import functional
from ppernie.nn.layers import Linear


class SelfAttention(nn.Layer):
    """Self-attention with one fused projection.

    The columns of ``qkv_proj`` are laid out per head as (query, key, value), so that a contiguous slice of them
    is a set of whole heads.

    Args:
        hidden_size: width of the input.
        num_heads: number of heads.
        dropout: probability of dropping an attention weight while training.
        head_size: width of a head; by default the heads together are as wide as the input.
    """

    def __init__(self, hidden_size: int, num_heads: int, dropout: float, head_size: int | None = None) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_size = head_size or hidden_size // num_heads
        self.dropout = dropout
        width = num_heads * self.head_size
        self.qkv_proj = Linear(hidden_size, 3 * width)
        self.out_proj = Linear(width, hidden_size)

    def forward(self, x: paddle.Tensor, mask: paddle.Tensor | None = None, queries: int | None = None) -> paddle.Tensor:
        """[batch, length, hidden] -> the same, or [batch, queries, hidden], the outputs of the first positions only.

        The additive mask is broadcastable to [batch, heads, length, length].
        """
        qkv = self.qkv_proj(x).reshape([0, 0, self.num_heads, 3, self.head_size])
        context = functional.self_attention(qkv, mask, self.dropout, self.training)
        return self.out_proj(context if queries is None else context[:, :queries])
