"""The C kernels as differentiable operations. Arguments are those that ``ppernie.nn.kernels.usable`` accepts.

A dropout mask is not stored: forward draws a seed from Paddle's generator, and backward makes the same mask again.
"""

from __future__ import annotations

import math
from typing import Any

import paddle
from paddle.autograd import PyLayer

from ppernie.nn import kernels


def _draw_seed(p: float) -> int:
    if p == 0:
        return 0
    words = paddle.randint(0, 2**31 - 1, [2], dtype="int32").numpy()
    return int.from_bytes(words.tobytes(), "little")


def _pointer(x: paddle.Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def _wanted(*inputs: paddle.Tensor | None) -> list[bool]:
    """Which tensors among the inputs take a gradient; Paddle insists on None for the others."""
    return [not x.stop_gradient for x in inputs if x is not None]


class Dropout(PyLayer):
    """``x`` of any shape, probability ``p``."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, p: float) -> paddle.Tensor:
        ctx.p, ctx.seed = p, _draw_seed(p)
        return Dropout._apply(x, ctx.p, ctx.seed)

    @staticmethod
    def backward(ctx: Any, dy: paddle.Tensor) -> paddle.Tensor:
        return Dropout._apply(dy.contiguous(), ctx.p, ctx.seed)

    @staticmethod
    def _apply(x: paddle.Tensor, p: float, seed: int) -> paddle.Tensor:
        y = paddle.empty_like(x)
        kernels.library().dropout(x.data_ptr(), y.data_ptr(), x.size, p, seed)
        return y


class Gelu(PyLayer):
    """``x`` of any shape."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor) -> paddle.Tensor:
        ctx.save_for_backward(x)
        y = paddle.empty_like(x)
        kernels.library().gelu(x.data_ptr(), y.data_ptr(), x.size)
        return y

    @staticmethod
    def backward(ctx: Any, dy: paddle.Tensor) -> paddle.Tensor:
        (x,) = ctx.saved_tensor()
        dy = dy.contiguous()
        dx = paddle.empty_like(x)
        kernels.library().gelu_grad(x.data_ptr(), dy.data_ptr(), dx.data_ptr(), x.size)
        return dx


class Linear(PyLayer):
    """``x`` [..., in], ``weight`` [in, out], ``bias`` [out]."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor) -> paddle.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.wanted = _wanted(x, weight, bias)
        y = paddle.matmul(x, weight)
        cols = y.shape[-1]
        kernels.library().add_bias(y.data_ptr(), bias.data_ptr(), y.size // cols, cols)
        return y

    @staticmethod
    def backward(ctx: Any, dy: paddle.Tensor) -> Any:
        x, weight = ctx.saved_tensor()
        dy = dy.contiguous()
        rows, cols = dy.size // dy.shape[-1], dy.shape[-1]
        dx = dweight = dbias = None
        if ctx.wanted[0]:
            dx = paddle.matmul(dy, weight, transpose_y=True)
        if ctx.wanted[1]:
            dweight = paddle.matmul(x.reshape([rows, -1]), dy.reshape([rows, cols]), transpose_x=True)
        if ctx.wanted[2]:
            dbias = paddle.empty([cols], dy.dtype)
            kernels.library().column_sums(dy.data_ptr(), dbias.data_ptr(), rows, cols)
        return dx, dweight, dbias


class LayerNorm(PyLayer):
    """``norm(x)`` or, with a residual, ``norm(residual + dropout(x))`` over the last dimension."""

    @staticmethod
    def forward(
        ctx: Any,
        x: paddle.Tensor,
        residual: paddle.Tensor | None,
        weight: paddle.Tensor,
        bias: paddle.Tensor,
        epsilon: float,
        p: float,
    ) -> paddle.Tensor:
        cols = x.shape[-1]
        rows = x.size // cols
        total = x if residual is None else paddle.empty_like(x)
        y = paddle.empty_like(x)
        mean, rstd = paddle.empty([rows], x.dtype), paddle.empty([rows], x.dtype)
        ctx.p, ctx.seed, ctx.has_residual = p, _draw_seed(p), residual is not None
        ctx.wanted = _wanted(x, residual, weight, bias)
        kernels.library().norm(
            x.data_ptr(),
            _pointer(residual),
            weight.data_ptr(),
            bias.data_ptr(),
            y.data_ptr(),
            total.data_ptr(),
            mean.data_ptr(),
            rstd.data_ptr(),
            rows,
            cols,
            epsilon,
            p,
            ctx.seed,
        )
        ctx.save_for_backward(total, weight, mean, rstd)
        return y

    @staticmethod
    def backward(ctx: Any, dy: paddle.Tensor) -> Any:
        total, weight, mean, rstd = ctx.saved_tensor()
        dy = dy.contiguous()
        dtotal, dweight, dbias = (
            paddle.empty_like(total),
            paddle.empty_like(weight),
            paddle.empty_like(weight),
        )
        dx = paddle.empty_like(total) if ctx.has_residual else None
        kernels.library().norm_grad(
            dy.data_ptr(),
            total.data_ptr(),
            weight.data_ptr(),
            mean.data_ptr(),
            rstd.data_ptr(),
            dtotal.data_ptr(),
            _pointer(dx),
            dweight.data_ptr(),
            dbias.data_ptr(),
            mean.shape[0],
            weight.shape[0],
            ctx.p,
            ctx.seed,
        )
        gradients = (dtotal, dweight, dbias) if dx is None else (dx, dtotal, dweight, dbias)
        return tuple(g if wanted else None for g, wanted in zip(gradients, ctx.wanted, strict=True))


class SelfAttention(PyLayer):
    """``qkv`` [batch, length, heads, 3, size] and an additive mask [1|batch, 1|heads, 1|length, length] or None.

    The mask gets no gradient.
    """

    @staticmethod
    def forward(ctx: Any, qkv: paddle.Tensor, mask: paddle.Tensor | None, p: float) -> paddle.Tensor:
        batch, length, heads, _, size = qkv.shape
        strides = [0, 0, 0]
        if mask is not None:
            strides = [math.prod(mask.shape[i + 1 :]) if mask.shape[i] > 1 else 0 for i in range(3)]
        weights = paddle.empty([batch, heads, length, length], qkv.dtype)
        context = paddle.empty([batch, length, heads * size], qkv.dtype)
        ctx.p, ctx.seed = p, _draw_seed(p)
        kernels.library().attention(
            qkv.data_ptr(),
            _pointer(mask),
            *strides,
            weights.data_ptr(),
            context.data_ptr(),
            batch,
            length,
            heads,
            size,
            p,
            ctx.seed,
        )
        ctx.has_mask = mask is not None
        ctx.save_for_backward(qkv, weights)
        return context

    @staticmethod
    def backward(ctx: Any, dcontext: paddle.Tensor) -> Any:
        qkv, weights = ctx.saved_tensor()
        batch, length, heads, _, size = qkv.shape
        dcontext = dcontext.contiguous()
        dqkv = paddle.empty_like(qkv)
        kernels.library().attention_grad(
            qkv.data_ptr(),
            weights.data_ptr(),
            dcontext.data_ptr(),
            dqkv.data_ptr(),
            batch,
            length,
            heads,
            size,
            ctx.p,
            ctx.seed,
        )
        return (dqkv, None) if ctx.has_mask else (dqkv,)
