"""Gradients of a whole model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import paddle

from ppernie.parallel.ranks import Fleet, Ranks

if TYPE_CHECKING:
    from ppernie.parallel.network import Share


def squared_norm(parameters: Iterable[paddle.Tensor]) -> float:
    """Sum of the squares of all gradients."""
    with paddle.no_grad():
        flat = [p.grad.astype("float32").reshape([1, -1]) for p in parameters if p.grad is not None]
        # A product of a vector with itself: on a CPU Paddle's own norm takes 30 times as long.
        squares = [paddle.matmul(gradient, gradient, transpose_y=True) for gradient in flat]
        return float(paddle.concat(squares).sum()) if squares else 0.0


def gradient_norm(parameters: Mapping[str, paddle.Tensor], share: Share, ranks: Ranks) -> float:
    """Euclidean norm of the whole network's gradients together, equal on all ranks."""
    # What several pipeline stages have counts on one of them.
    counted = {name: parameter for name, parameter in parameters.items() if share.is_home(name)}
    by_copies: dict[int, list[paddle.Tensor]] = {}
    for name, parameter in counted.items():
        by_copies.setdefault(share.copies(name), []).append(parameter)
    here = sum(squared_norm(several) / copies for copies, several in by_copies.items())
    return math.sqrt(ranks.all_sum([here], over="all")[0])


def sum_gradients(parameters: Mapping[str, paddle.Tensor], share: Share, ranks: Ranks) -> None:
    """Adds up what each rank has of a gradient; ``parameters`` are those that learn."""
    if not isinstance(ranks, Fleet):
        return
    if share.shards is not None:
        share.shards.settle()
    from paddle.distributed.fleet.utils.hybrid_parallel_util import fused_allreduce_gradients_with_group

    if partial := [parameters[name] for name in share.partial if name in parameters]:
        fused_allreduce_gradients_with_group(partial, ranks.mp_group, scale=1.0)
    for group, names in share.shared:
        shared = [parameters[name] for name in names if name in parameters]
        for parameter in shared:
            if parameter.grad is None:  # of what this stage has and does not use
                parameter.grad = paddle.zeros_like(parameter)
        if shared:
            fused_allreduce_gradients_with_group(shared, group, scale=1.0)
    # Of rows the sharding ranks have the sum already.
    rows = [parameter for name, parameter in parameters.items() if name in share.rows]
    whole = [parameter for name, parameter in parameters.items() if name not in share.rows]
    if ranks.topology.data_world > 1:
        fused_allreduce_gradients_with_group(whole, ranks.data_group, scale=1.0)
    if rows and ranks.topology.dp > 1:
        fused_allreduce_gradients_with_group(rows, ranks.dp_group, scale=1.0)


def scale_gradients(parameters: Iterable[paddle.Tensor], factor: float) -> None:
    """Multiplies every gradient in place."""
    with paddle.no_grad():
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.scale_(factor)
