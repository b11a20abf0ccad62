"""The schedule of a pipeline: fleet's in training, one batch after the other in evaluation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import paddle
from paddle import distributed
from paddle.distributed import fleet
from paddle.distributed.fleet.meta_parallel import PipelineLayer

from ppernie.parallel.stages import Stages

if TYPE_CHECKING:
    from ppernie.parallel.ranks import Fleet

Inputs = Mapping[str, paddle.Tensor]


class Pipeline:
    """Runs a network's stages over the ranks of a pipeline.

    Within an update all messages have one size, that of the largest micro-batch, as fleet's interleaved schedule needs.

    Args:
        stages: of the network, whose own forward becomes, in evaluation, that of the whole pipeline.
        ranks: that are together.
        virtual: runs of each stage.
        length_parts: into how many parts sequence parallelism cuts a sequence; 1 without.
    """

    def __init__(
        self, network: paddle.nn.Layer, stages: Stages, ranks: Fleet, virtual: int, length_parts: int = 1
    ) -> None:
        self._stages, self._ranks, self._topology = stages, ranks, ranks.topology
        self._length_parts = length_parts
        with warnings.catch_warnings():
            # What stages share is not fleet's to know.
            warnings.filterwarnings("ignore", "No shared comm")
            layers = PipelineLayer(
                [_Run(self._forward, run) for run in range(len(stages.runs))],
                topology=ranks.hcg.topology(),
                loss_fn=self._loss,
                # One run is one layer to fleet, which has nothing to cut any more.
                seg_method="layer:_Run",
                num_virtual_pipeline_stages=virtual,
            )
        self._schedule: Any = fleet.distributed_model(layers)
        self._interleaved = virtual > 1
        self._batches: Sequence[Inputs] = ()
        network.forward = self._evaluate  # type: ignore[method-assign]

    def backward(
        self,
        batches: Sequence[Inputs],
        loss: Callable[[Any, int], paddle.Tensor],
        autocast: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Adds up the gradients of an update's micro-batches.

        Args:
            batches: what the network takes of each.
            loss: of the network's outputs for the micro-batch of a number; called on the last stage.
            autocast: the context of forward and loss.
        """
        self._batches, self._loss_of, self._autocast = batches, loss, autocast
        self._passed = [0] * len(self._stages.runs)
        self._message = max(map(self._size, batches))
        if not self._interleaved:
            # An epoch's last update may have fewer; the interleaved schedule then passes the first once more.
            self._schedule.accumulate_steps = len(batches)
        self._schedule.set_virtual_pipeline_rank(0)
        self._schedule.forward_backward_pipeline(self._numbers(), None)

    def _numbers(self) -> Iterator[tuple[None, None]]:
        """What fleet takes for the data; each rank has the batches already."""
        while True:
            yield None, None

    def _forward(self, run: int, received: paddle.Tensor | None) -> Any:
        number = self._passed[run]
        self._passed[run] += 1
        inputs = self._batches[number if number < len(self._batches) else 0]
        with self._autocast():
            result = self._stages.forward(run, received, inputs, number)
        if run == len(self._stages.runs) - 1:
            return result
        flat = result.reshape([-1])
        missing = self._message - flat.shape[0]
        return paddle.concat([flat, paddle.zeros([missing], flat.dtype)]) if missing else flat

    def _loss(self, outputs: Any, _: None) -> paddle.Tensor:
        number = self._passed[-1] - 1
        with self._autocast():
            if number < len(self._batches):
                return self._loss_of(outputs, number)
            return 0.0 * paddle.add_n([x.sum() for x in _by_name(outputs).values()])

    def _size(self, inputs: Inputs) -> int:
        """Numbers that a block hands on for these inputs, of which the first are the entry's ids."""
        *rows, length = next(iter(inputs.values())).shape
        return math.prod(rows) * -(-length // self._length_parts) * self._stages.width

    def _evaluate(self, **inputs: paddle.Tensor) -> Any:
        """The network's outputs, on every rank of the pipeline; no gradient goes back through it."""
        if paddle.is_grad_enabled():
            raise RuntimeError("a pipeline's gradients come from Pipeline.backward")
        x: Any = None
        last = len(self._stages.runs) - 1
        for run in range(last + 1):
            if run % self._topology.pp == self._topology.pp_rank:
                x = self._stages.forward(run, x, inputs)
                if run < last:
                    distributed.send(x.reshape([-1]), self._rank_of(run + 1), self._ranks.pp_group)
            elif run < last and (run + 1) % self._topology.pp == self._topology.pp_rank:
                x = paddle.empty([self._size(inputs)])
                distributed.recv(x, self._rank_of(run), self._ranks.pp_group)
        return self._told(x, self._rank_of(last))

    def _rank_of(self, run: int) -> int:
        return self._ranks.rank_of_stage(run % self._topology.pp)

    def _told(self, outputs: Any, source: int) -> Any:
        """The outputs of the rank ``source``, a tensor or some by name, on all ranks of the pipeline."""
        here = self._topology.rank == source
        named = _by_name(outputs)
        kinds = [{name: (x.shape, x.dtype) for name, x in named.items()} if here else None]
        distributed.broadcast_object_list(kinds, source, self._ranks.pp_group)
        assert kinds[0] is not None
        told = {}
        for name, (shape, dtype) in kinds[0].items():
            told[name] = named[name].contiguous() if here else paddle.empty(shape, dtype)
            distributed.broadcast(told[name], source, self._ranks.pp_group)
        return told.get("", told)


def _by_name(outputs: Any) -> dict[str, paddle.Tensor]:
    return outputs if isinstance(outputs, dict) else {"": outputs}


class _Run(paddle.nn.Layer):
    """What fleet calls: a run without parameters of its own, so that fleet has none to overwrite."""

    def __init__(self, forward: Callable[[int, paddle.Tensor | None], Any], run: int) -> None:
        super().__init__()
        self._of_run, self._number = forward, run

    def forward(self, received: paddle.Tensor | None) -> Any:
        return self._of_run(self._number, received)
