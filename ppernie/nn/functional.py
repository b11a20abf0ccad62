"""The operations that the blocks are made of.

Each is Paddle's own operation, or, in a float32 training step on the CPU, a faster kernel with the same result
within rounding (``ppernie.nn.kernels``). The kernels have first derivatives only. On one seed, dropout's mask is
the same in a fused kernel and in the operations that it stands for.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import paddle
from paddle.nn import functional as F

from ppernie.nn import autograd, kernels


def _by_kernel(*tensors: paddle.Tensor) -> bool:
    return paddle.is_grad_enabled() and kernels.usable(*tensors)


def linear(x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor | None) -> paddle.Tensor:
    """``x @ weight + bias`` with weight [in, out]."""
    if bias is not None and _by_kernel(x, weight, bias):
        return autograd.Linear.apply(x, weight, bias)
    return F.linear(x, weight, bias)


def layer_norm(x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor, epsilon: float) -> paddle.Tensor:
    """Layer normalisation over the last dimension."""
    if _by_kernel(x, weight, bias):
        return autograd.LayerNorm.apply(x, None, weight, bias, epsilon, 0.0)
    return F.layer_norm(x, x.shape[-1], weight, bias, epsilon)


def residual_norm(
    x: paddle.Tensor,
    residual: paddle.Tensor,
    weight: paddle.Tensor,
    bias: paddle.Tensor,
    epsilon: float,
    dropout_p: float,
    training: bool,
) -> paddle.Tensor:
    """``layer_norm(residual + dropout(x))``."""
    if _by_kernel(x, residual, weight, bias):
        return autograd.LayerNorm.apply(x, residual, weight, bias, epsilon, dropout_p if training else 0.0)
    return layer_norm(residual + dropout(x, dropout_p, training), weight, bias, epsilon)


def dropout(x: paddle.Tensor, p: float, training: bool) -> paddle.Tensor:
    """Zeroes elements with probability ``p`` and scales the rest by ``1 / (1 - p)``."""
    if not training or p == 0:
        return x
    # Without gradients too: recomputation runs forward first without and then with them, and both need one mask.
    return autograd.Dropout.apply(x, p) if kernels.usable(x) else F.dropout(x, p)


def gelu(x: paddle.Tensor) -> paddle.Tensor:
    """``x * Phi(x)`` with the exact normal distribution function."""
    return autograd.Gelu.apply(x) if _by_kernel(x) else F.gelu(x)


def self_attention(qkv: paddle.Tensor, mask: paddle.Tensor | None, dropout_p: float, training: bool) -> paddle.Tensor:
    """Scaled dot-product attention of a sequence with itself.

    Args:
        qkv: [batch, length, heads, 3, head size]: query, key and value of every head.
        mask: additive, broadcastable to [batch, heads, queries, keys].

    Returns:
        [batch, length, heads * head size].
    """
    # A learned mask is left to the plain operations: neither fused attention gives its mask a gradient.
    fixed = mask is None or mask.stop_gradient
    if fixed and _by_kernel(qkv) and _kernel_takes(mask, qkv):
        return autograd.SelfAttention.apply(qkv, mask, dropout_p if training else 0.0)
    if fixed and paddle.in_dynamic_mode() and qkv.place.is_gpu_place():
        return _flash_attention(qkv, mask, dropout_p, training)
    query, key, value = qkv.transpose([3, 0, 2, 1, 4]).unbind(0)
    context = attention(query, key, value, mask, dropout_p, training)
    return context.transpose([0, 2, 1, 3]).flatten(2)


def _flash_attention(qkv: paddle.Tensor, mask: paddle.Tensor | None, dropout_p: float, training: bool) -> paddle.Tensor:
    query, key, value = qkv.unbind(3)
    if mask is not None:  # the GPU's kernels broadcast neither queries nor types
        mask = mask.expand([*mask.shape[:2], qkv.shape[1], qkv.shape[1]]).astype(qkv.dtype)
    return F.scaled_dot_product_attention(query, key, value, mask, dropout_p, training=training).flatten(2)


def _kernel_takes(mask: paddle.Tensor | None, qkv: paddle.Tensor) -> bool:
    return mask is None or (mask.ndim == 4 and mask.shape[-1] == qkv.shape[1] and _by_kernel(mask))


def attention(
    query: paddle.Tensor,
    key: paddle.Tensor,
    value: paddle.Tensor,
    mask: paddle.Tensor | None,
    dropout_p: float,
    training: bool,
) -> paddle.Tensor:
    """Scaled dot-product attention.

    Args:
        query, key, value: [batch, heads, length, head size].
        mask: additive, broadcastable to [batch, heads, queries, keys].

    Returns:
        [batch, heads, length, head size].
    """
    scores = paddle.matmul(query * (1.0 / math.sqrt(query.shape[-1])), key, transpose_y=True)
    if mask is not None:
        scores = scores + mask
    weights = dropout(F.softmax(scores, axis=-1), dropout_p, training)
    return paddle.matmul(weights, value)


ACTIVATIONS: dict[str, Callable[[paddle.Tensor], paddle.Tensor]] = {"gelu": gelu, "relu": F.relu}
