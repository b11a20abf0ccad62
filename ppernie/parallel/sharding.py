"""Gradients and weights that sharding ranks share: ZeRO, stages 2 and 3.

Rajbhandari et al. 2020 (arXiv:1910.02054), sections 5.2 and 5.3. Between updates the parameter of a matrix is itself
this rank's rows of it, so optimizer, norm and checkpoints need to know of nothing but its shape. For its use it
becomes whole, and its rows again afterwards; the tensors that autograd keeps are the parameter's, and change with it.
Vectors, and matrices whose rows do not divide, stay whole: they are small, and a message for each would cost more.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import paddle
from paddle.distributed import stream
from paddle.utils import flatten

from ppernie.parallel.cut import Cut

if TYPE_CHECKING:
    from paddle.distributed.communication.group import Group

_LOG = logging.getLogger(__name__)


class Shards:
    """A network of whose matrices, and their gradients, each rank of a group keeps some rows.

    Without blocks (stage 2) the matrices become whole when an update's first forward needs them, and stay so until
    ``settle``. With blocks (stage 3) those of a block are whole during its forward, and again from the start of its
    backward until each has its gradient; those outside of all blocks are one region, around them all. Where no
    gradient is wanted, matrices are whole during forward alone in either stage. A gradient is summed into the rows
    of all ranks as soon as a backward pass has it.

    The ranks of the group must run the same operations, so that their messages come in the same order. A matrix
    without a gradient (frozen, or unused by the loss) stays whole until ``settle``.

    Args:
        network: built lazily, its parameters not yet allocated; those that are cut take the shapes of their rows.
        blocks: its layers whose matrices are gathered one by one.

    Attributes:
        rows: the cut of each matrix by the parameter's dotted name.
    """

    def __init__(self, network: paddle.nn.Layer, blocks: Sequence[paddle.nn.Layer], group: Group) -> None:
        self.rows = _row_cuts(network, group.nranks)
        self._keeps = not blocks
        self._matrices = {
            id(parameter): _Matrix(parameter, self.rows[name], group)
            for name, parameter in network.named_parameters()
            if name in self.rows
        }
        for matrix in self._matrices.values():
            if not matrix.parameter.stop_gradient:
                matrix.parameter._register_backward_hook(functools.partial(self._take_gradient, matrix))
        inside = {id(parameter) for block in blocks for parameter in block.parameters()}
        outside = [parameter for parameter in network.parameters() if id(parameter) not in inside]
        self._watch(network, outside)
        for block in blocks:
            self._watch(block, block.parameters())

    def settle(self) -> None:
        """Ends the backward passes of an update: leaves rows of all matrices, with the sums of their gradients."""
        for matrix in self._matrices.values():
            matrix.let_go()
            matrix.settle()

    def _watch(self, layer: paddle.nn.Layer, parameters: Sequence[paddle.Tensor]) -> None:
        """Has a region's matrices whole while its layer runs, forward and backward."""
        region = [self._matrices[id(p)] for p in parameters if id(p) in self._matrices]

        def gather(*_: Any) -> None:
            for matrix in region:
                matrix.gather()

        def let_go(_: Any, inputs: Any, outputs: Any) -> None:
            if self._keeps and paddle.is_grad_enabled():
                return
            for matrix in region:
                matrix.let_go()
            for output in flatten(outputs):
                if isinstance(output, paddle.Tensor) and not output.stop_gradient:
                    output.register_hook(gather)

        layer.register_forward_pre_hook(gather)  # type: ignore[arg-type]
        layer.register_forward_post_hook(let_go)  # type: ignore[arg-type]

    def _take_gradient(self, matrix: _Matrix) -> None:
        matrix.take_gradient()
        if not self._keeps:
            # A gradient is whole once all that used the weight has run.
            matrix.let_go()


class _Matrix:
    """A parameter that is this rank's rows of a matrix, or all of it."""

    def __init__(self, parameter: paddle.Tensor, cut: Cut, group: Group) -> None:
        self.parameter, self._group = parameter, group
        self._shape, self._part = cut.shape, cut.local_shape(group.nranks)
        # While the parameter is whole.
        self._rows: paddle.Tensor | None = None
        # Of the rows, over the backward passes since the last update.
        self._gradient: paddle.Tensor | None = None
        _become(parameter, paddle.empty(self._part, parameter.dtype))

    @paddle.no_grad()
    def gather(self) -> None:
        """Makes the parameter whole; all ranks must call it."""
        if self._rows is not None:
            return
        self._rows, whole = paddle.empty([0]), paddle.empty(self._shape, self.parameter.dtype)
        _become(self._rows, self.parameter)
        stream.all_gather(whole, self._rows, group=self._group, use_calc_stream=True)
        _become(self.parameter, whole)

    def let_go(self) -> None:
        """Leaves this rank's rows."""
        if self._rows is not None:
            _become(self.parameter, self._rows)
            self._rows = None

    @paddle.no_grad()
    def take_gradient(self) -> None:
        """Adds the gradient of all ranks to that of the rows and lets it go; all ranks must call it."""
        whole: Any = self.parameter.grad
        part = paddle.empty(self._part, whole.dtype)
        stream.reduce_scatter(part, whole, group=self._group, use_calc_stream=True)
        self.parameter.grad = None
        self._gradient = part if self._gradient is None else self._gradient.add_(part)

    def settle(self) -> None:
        """Gives the parameter the gradient of its rows."""
        if self._gradient is not None:
            self.parameter.grad, self._gradient = self._gradient, None


def _row_cuts(network: paddle.nn.Layer, degree: int) -> dict[str, Cut]:
    matrices = {name: Cut(tuple(p.shape), 0) for name, p in network.named_parameters() if len(p.shape) > 1}
    uneven = [name for name, cut in matrices.items() if cut.shape[0] % degree]
    if uneven:
        _LOG.info(
            "every sharding rank has all of %s, whose rows do not divide by Distributed.sharding = %d",
            ", ".join(uneven),
            degree,
        )
    return {name: cut for name, cut in matrices.items() if name not in uneven}


def _become(tensor: paddle.Tensor, other: paddle.Tensor) -> None:
    """Lets a tensor have the memory and shape of another; whoever keeps it, as autograd does, sees the change."""
    tensor.get_tensor()._share_data_with(other.get_tensor())
