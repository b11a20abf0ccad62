"""The kernels of tensor parallelism that Paddle has for a GPU alone, called as Paddle's are."""

from __future__ import annotations

from typing import Any

import paddle
from paddle.autograd import PyLayer
from paddle.base.core import ReduceOp
from paddle.distributed import collective


def c_identity(tensor: paddle.Tensor, ring_id: int, *_: Any) -> paddle.Tensor:
    """A copy; fleet sums the gradient itself."""
    return paddle.assign(tensor)


def c_concat(tensor: paddle.Tensor, rank: int, ranks: int, ring_id: int, *_: Any) -> paddle.Tensor:
    """The tensors [..., n] of all ranks side by side, [..., ranks * n]."""
    return _Concat.apply(tensor, rank, ranks, ring_id)


def c_split(tensor: paddle.Tensor, rank: int, ranks: int, ring_id: int, *_: Any) -> paddle.Tensor:
    """This rank's share [..., n / ranks] of a tensor [..., n] that all ranks have; fleet makes the gradient itself."""
    return paddle.split(tensor, ranks, axis=-1)[rank].clone()


def c_softmax_with_cross_entropy(
    logits: paddle.Tensor, labels: paddle.Tensor, ignore_index: int, ring_id: int, rank: int, ranks: int
) -> tuple[paddle.Tensor, paddle.Tensor]:
    """Softmax [..., n] and loss [..., 1] of logits [..., n] that are cut by classes, with labels [..., 1]."""
    return _SoftmaxCrossEntropy.apply(logits, labels, ignore_index, ring_id, rank)


class _Concat(PyLayer):
    @staticmethod
    def forward(ctx: Any, tensor: paddle.Tensor, rank: int, ranks: int, ring_id: int) -> paddle.Tensor:
        ctx.rank, ctx.ranks = rank, ranks
        parts = [paddle.empty_like(tensor) for _ in range(ranks)]
        _group(ring_id).all_gather(parts, tensor, True)
        return paddle.concat(parts, axis=-1)

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> paddle.Tensor:
        return paddle.split(gradient, ctx.ranks, axis=-1)[ctx.rank].clone()


class _SoftmaxCrossEntropy(PyLayer):
    @staticmethod
    def forward(
        ctx: Any, logits: paddle.Tensor, labels: paddle.Tensor, ignore_index: int, ring_id: int, rank: int
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        group = _group(ring_id)
        scores = logits.astype("float32")
        classes = scores.shape[-1]
        highest = scores.max(axis=-1, keepdim=True)
        group.all_reduce(highest, ReduceOp.MAX)
        exponentials = paddle.exp(scores - highest)
        total = exponentials.sum(axis=-1, keepdim=True)
        group.all_reduce(total)

        own = labels.astype("int64") - rank * classes
        here = ((own >= 0) & (own < classes)).astype("float32")
        own = own.clip(0, classes - 1)
        score = paddle.take_along_axis(scores, own, axis=-1) * here
        group.all_reduce(score)
        counted = (labels != ignore_index).astype("float32")
        loss = (paddle.log(total) + highest - score) * counted

        softmax = exponentials / total
        ctx.save_for_backward(softmax, own, here, counted)
        return softmax.astype(logits.dtype), loss.astype(logits.dtype)

    @staticmethod
    def backward(ctx: Any, _: paddle.Tensor, gradient: paddle.Tensor) -> paddle.Tensor:
        softmax, own, here, counted = ctx.saved_tensor()
        chosen = paddle.zeros_like(softmax)
        chosen = paddle.put_along_axis(chosen, own, here, axis=-1)
        return ((softmax - chosen) * counted * gradient.astype("float32")).astype(gradient.dtype)


def _group(ring_id: int) -> Any:
    return collective._get_group_map()[ring_id].process_group
