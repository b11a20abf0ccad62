"""Biases of the attention scores that depend on the distance between two tokens."""

from __future__ import annotations

import paddle
from paddle import nn

# A distance n falls into the bucket g(n) = n below 8, and 8 + floor(8 ln(n / 8) / ln(128 / 8)) up to 15 from there.
# These are the distances at which the next bucket begins: 1 to 8, then the least n with n * n >= 64 * 2**k.
# Whole numbers, so that no rounding of a logarithm decides at a bucket's edge.
_EDGES = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91)
_BACKWARD = 16
_FROM_FIRST = 16
_TO_FIRST = 32


class RelativePositions(nn.Embedding):
    """A table of one bias per bucket of distances and head, ``weight`` [33, heads].

    The buckets are T5's (Raffel et al. 2019, section 2.1): 16 for keys at or after the query and 16 for keys before
    it. As ERNIE-Gram has them, the first token, [CLS], stands outside the order: all keys are alike to it (bucket
    16, which no distance has), and as a key it is alike to all others (bucket 32).
    """

    def __init__(self, num_heads: int) -> None:
        super().__init__(_TO_FIRST + 1, num_heads)

    def forward(self, positions: paddle.Tensor) -> paddle.Tensor:
        """int64 positions [batch, length] -> biases [batch, heads, queries, keys]."""
        return super().forward(buckets(positions)).transpose([0, 3, 1, 2])


def buckets(positions: paddle.Tensor) -> paddle.Tensor:
    """int64 positions [batch, length] -> rows of the table, int64 [batch, queries, keys]."""
    distance = positions.unsqueeze(1) - positions.unsqueeze(2)
    buckets = paddle.bucketize(distance.abs(), paddle.to_tensor(_EDGES), right=True)
    buckets = buckets + _BACKWARD * (distance < 0).astype("int64")
    first = paddle.arange(positions.shape[1]) == 0
    buckets = paddle.where(first, _TO_FIRST, buckets)
    return paddle.where(first.unsqueeze(1), _FROM_FIRST, buckets)
