"""Additive attention masks."""

from __future__ import annotations

import paddle

# Large enough that exp() underflows to exactly 0 in float32, small enough to exist in float16 and bfloat16.
MASKED = -10000.0


def padding_mask(input_ids: paddle.Tensor, pad_id: int) -> paddle.Tensor:
    """Mask that hides padding from every query.

    Args:
        input_ids: int64 [batch, length].
        pad_id: the padding token's id.

    Returns:
        [batch, 1, 1, length] in the default float dtype: 0 for tokens, ``MASKED`` for padding.
    """
    hidden = (input_ids == pad_id).astype(paddle.get_default_dtype())
    return (hidden * MASKED).unsqueeze([1, 2])
