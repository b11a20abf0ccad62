"""The gradient sums of ``paddle.DataParallel``, which Paddle makes in C++ over its own process groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paddle
from paddle.base.core import ReduceOp


class Reducer:
    """Averages the gradients over the ranks once the last of them is there; called as ``core.EagerReducer`` is.

    Raises:
        NotImplementedError: the network leaves out parameters (``find_unused_parameters``) or has sparse gradients.
    """

    def __init__(
        self,
        parameters: Sequence[paddle.Tensor],
        groups: Any,
        sparse: Sequence[bool],
        process_group: Any,
        sizes: Any,
        find_unused: bool,
    ) -> None:
        if find_unused or any(sparse):
            raise NotImplementedError("unused parameters and sparse gradients are not reduced on the CPU")
        self._parameters = list(parameters)
        self._group = process_group
        self._awaited: set[int] = set()
        for number, parameter in enumerate(self._parameters):
            parameter._register_backward_hook(lambda number=number: self._ready(number))

    def prepare_for_backward(self, outputs: Any) -> None:
        """Begins to wait for the gradients of the backward pass that follows.

        Raises:
            RuntimeError: the last backward pass left out parameters.
        """
        if self._awaited:
            names = ", ".join(self._parameters[number].name for number in sorted(self._awaited))
            raise RuntimeError(f"the last backward pass gave no gradient to {names}")
        self._awaited = set(range(len(self._parameters)))

    def _ready(self, number: int) -> None:
        if number not in self._awaited:
            return
        self._awaited.remove(number)
        if not self._awaited:
            for parameter in self._parameters:
                self._group.all_reduce(parameter.grad, ReduceOp.AVG)
