"""Zeros in a network that learns: ever more of them, and none that comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import paddle

from ppernie.errors import UserError
from ppernie.optim.schedules import steps_of
from ppernie.parallel.plan import Plan
from ppernie.slim.weight_only.selection import quantized_weights

if TYPE_CHECKING:
    from ppernie.slim.pruning.settings import Sparsity


class Zeros:
    """The zeros in the matrices of a network's layers over a run.

    Which weights are 0 is told by the weights alone, so a resumed run needs nothing more.

    Args:
        plan: says which the matrices are.
        total: steps of the run.

    Raises:
        UserError: the run ends before the zeros are as many as they should be.
    """

    def __init__(self, network: paddle.nn.Layer, plan: Plan, section: Sparsity, total: int) -> None:
        parameters = dict(network.named_parameters())
        self._matrices = [parameters[name] for name in quantized_weights(parameters, plan)]
        self._target, self._every = section.target, section.every
        self._begin, self._end = steps_of(section.begin, total), steps_of(section.end, total)
        if not self._begin < self._end <= total:
            raise UserError(
                f"Train.sparsity: grows from step {self._begin} to step {self._end} of a run of {total}; let it begin "
                "earlier, end within the run, or train for longer"
            )

    def share(self, step: int) -> float:
        """Share of zeros after so many steps: s (1 - (1 - t)^3), with t from 0 to 1 between begin and end."""
        grown = min(max((step - self._begin) / (self._end - self._begin), 0.0), 1.0)
        return self._target * (1 - (1 - grown) ** 3)

    def complete(self, step: int) -> bool:
        """Whether there are as many as there should be at the end."""
        return step >= self._end

    @contextmanager
    def kept(self, step: int) -> Iterator[None]:
        """Around the update that completes a step: what was 0 is 0 after it, and what else is to be."""
        before = [(matrix != 0).astype(matrix.dtype) for matrix in self._matrices]
        yield
        due = step >= self._begin and ((step - self._begin) % self._every == 0 or step == self._end)
        with paddle.no_grad():
            for matrix, mask in zip(self._matrices, before, strict=True):
                left = matrix * mask
                matrix.set_value(_without_smallest(left, int(self.share(step) * left.size)) if due else left)


def _without_smallest(matrix: paddle.Tensor, count: int) -> paddle.Tensor:
    """The matrix with its ``count`` smallest numbers, by magnitude, and what is as small as these, set to 0."""
    if not count:
        return matrix
    sizes = matrix.abs()
    threshold = paddle.kthvalue(sizes.flatten(), count)[0]
    return matrix * (sizes > threshold).astype(matrix.dtype)
