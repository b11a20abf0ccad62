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


def interval_mask(visible: paddle.Tensor) -> paddle.Tensor:
    """Mask of tokens each of which sees a stretch that all of its sample see, and one that ends with itself.

    Args:
        visible: int64 [batch, 3, length]: start, context and own. Query i sees key j where start <= j < context or
            own <= j <= i.

    Returns:
        [batch, 1, length, length] in the default float dtype: 0 for what is seen, ``MASKED`` for the rest.
    """
    keys = paddle.arange(visible.shape[-1])
    start, context, own = visible.unsqueeze(-1).unbind(1)
    seen = ((keys >= start) & (keys < context)) | ((keys >= own) & (keys <= keys.unsqueeze(1)))
    return ((~seen).astype(paddle.get_default_dtype()) * MASKED).unsqueeze(1)
