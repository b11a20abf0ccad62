"""The gradients of an update, over its micro-batches and over all ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import paddle

from ppernie.data.batches import Counts
from ppernie.engine.evaluate import network_inputs
from ppernie.engine.gradients import gradient_norm, sum_gradients

if TYPE_CHECKING:
    from ppernie.engine.pace import Pace
    from ppernie.engine.precision import Precision
    from ppernie.parallel.network import Share
    from ppernie.parallel.ranks import Ranks
    from ppernie.tasks.base import Task

MicroBatch = tuple[dict[str, paddle.Tensor], Counts]


class Accumulation:
    """Runs the network forward and back over the micro-batches of an update.

    Each objective of the task is a mean over its labelled units in all micro-batches of all ranks, so that how they
    are dealt out changes nothing.

    Args:
        parameters: that learn, by name.
    """

    def __init__(
        self,
        task: Task,
        share: Share,
        parameters: Mapping[str, paddle.Tensor],
        precision: Precision,
        ranks: Ranks,
        pace: Pace,
    ) -> None:
        self._task, self._share, self._parameters = task, share, parameters
        self._precision, self._ranks, self._pace = precision, ranks, pace

    def backward(self, micro_batches: Sequence[MicroBatch], scale: float) -> tuple[dict[str, float], float]:
        """Leaves the gradients of ``scale`` times the loss, summed over the ranks.

        Returns:
            The mean losses of the objectives that have labelled units, and the norm of the gradients of the loss.
        """
        objectives = self._task.objectives
        counted = [sum(counts.weights[i] for _, counts in micro_batches) for i in range(len(objectives))]
        self._pace.end()
        units = dict(zip(objectives, self._ranks.all_sum(counted), strict=True))
        found: list[dict[str, paddle.Tensor]] = []

        def loss_of(outputs: Any, number: int) -> paddle.Tensor:
            batch, counts = micro_batches[number]
            means = {name: loss / max(units[name], 1.0) for name, loss in self._task.losses(outputs, batch).items()}
            loss = paddle.add_n([objectives[name] * mean for name, mean in means.items()])
            if not counts.samples:
                return loss * 0.0  # another rank has this item
            found.append({name: mean.detach() for name, mean in means.items()})
            return loss * scale if scale != 1.0 else loss

        inputs = [network_inputs(self._task, batch) for batch, _ in micro_batches]
        self._pace.begin()
        if self._share.pipeline is not None:
            self._share.pipeline.backward(inputs, loss_of, self._precision.autocast)
        else:
            for number, batch in enumerate(inputs):
                with self._precision.autocast():
                    loss = loss_of(self._share.network(**batch), number)
                loss.backward()
        self._pace.end()
        sum_gradients(self._parameters, self._share, self._ranks)
        # Tensor-parallel ranks have the same losses, and the ranks of all stages but the last none.
        is_first = not self._share.topology.mp_rank
        here = [sum(float(means.get(name, 0.0)) for means in found) if is_first else 0.0 for name in objectives]
        losses = self._ranks.all_sum(here, over="all")
        norm = gradient_norm(self._parameters, self._share, self._ranks) / scale
        return {name: loss for name, loss in zip(objectives, losses, strict=True) if units[name]}, norm
