"""Rows of float32 times matrices [out, in] that stay in 8 or 4 bits, or in half precision, in memory.

On the CPU a kernel in C unpacks them on the way (``ppernie.nn.kernels``). Where it is absent, on a GPU, in a static
graph and where a gradient is wanted, Paddle's own operations make blocks of them float first.
"""

from __future__ import annotations

import paddle
from paddle.nn import functional as F

from ppernie.nn import kernels
from ppernie.slim.weight_only.arithmetic import Scheme

# Inputs that the kernel unpacks together.
_STEP = 32
# Numbers that are made float at once.
_BLOCK = 16 * 1024 * 1024


def linear(
    x: paddle.Tensor, weight: paddle.Tensor, scale: paddle.Tensor | None = None, scheme: Scheme | None = None
) -> paddle.Tensor:
    """``x @ W.T`` with W [out, in], which is half precision, or quantised with its scales and scheme.

    Args:
        x: [..., in], float32, or half precision on a GPU.
        weight: float16 [out, in], or int8 [out, in] or [out, in / 2].
        scale: float16 [out] or [out, groups].

    Returns:
        [..., out] in the dtype of ``x``. First derivatives by ``x`` alone.
    """
    group = x.shape[-1] if scheme is None or scheme.group_size is None else scheme.group_size
    wants_gradient = paddle.is_grad_enabled() and not x.stop_gradient
    x = x.contiguous()
    if wants_gradient or group % _STEP or not kernels.usable(x):
        return _by_operations(x, weight, scale, scheme)
    y = paddle.empty([*x.shape[:-1], weight.shape[0]], "float32")
    kernels.library().weight_only_linear(
        x.data_ptr(),
        weight.data_ptr(),
        None if scale is None else scale.data_ptr(),
        y.data_ptr(),
        x.size // x.shape[-1],
        weight.shape[0],
        x.shape[-1],
        group,
        16 if scheme is None else scheme.bits,
    )
    return y


def _by_operations(
    x: paddle.Tensor, weight: paddle.Tensor, scale: paddle.Tensor | None, scheme: Scheme | None
) -> paddle.Tensor:
    outputs = max(1, _BLOCK // x.shape[-1])
    parts = []
    for start in range(0, weight.shape[0], outputs):
        block = weight[start : start + outputs]
        if scale is not None and scheme is not None:
            block = unpacked(block, scale[start : start + outputs], scheme)
        parts.append(F.linear(x, block.astype(x.dtype).T))
    return paddle.concat(parts, axis=-1)


def unpacked(weight: paddle.Tensor, scale: paddle.Tensor, scheme: Scheme) -> paddle.Tensor:
    """float32 [out, in] of a quantised matrix: ``ppernie.slim.weight_only.dequantize`` by Paddle's operations."""
    numbers = weight.astype("int32")
    if scheme.bits == 4:
        low = (numbers + 8) % 16 - 8
        high = (numbers - numbers % 16) // 16
        numbers = paddle.stack([high, low], axis=-1).flatten(1)
    groups = numbers.reshape([*scale.shape, -1]).astype("float32") * scale.astype("float32").unsqueeze(-1)
    return groups.reshape(numbers.shape)
