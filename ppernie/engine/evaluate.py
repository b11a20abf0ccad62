"""A model on a whole evaluation set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import paddle

from ppernie.data.batches import evaluation_batches
from ppernie.data.streams import evaluation_batches as stream_batches

if TYPE_CHECKING:
    from ppernie.data.streams import Stream
    from ppernie.tasks.base import Item, Task
    from ppernie.tasks.pretraining import PretrainingTask


def network_inputs(task: Task, batch: dict[str, paddle.Tensor]) -> dict[str, paddle.Tensor]:
    """The entries of a batch that the network's forward takes."""
    names = (*task.input_names, "masked_positions")
    return {name: batch[name] for name in names if name in batch}


def evaluate(model: paddle.nn.Layer, task: Task, items: Sequence[Item], batch_size: int) -> dict[str, float]:
    """Metrics of the task, and ``loss``: the mean over labelled units."""
    results: list[Any] = [None] * len(items)
    total = weight = 0.0
    with _in_eval_mode(model):
        for indices, arrays in evaluation_batches(task, items, batch_size):
            batch = {name: paddle.to_tensor(array) for name, array in arrays.items()}
            outputs = model(**network_inputs(task, batch))
            total += float(task.loss(outputs, batch))
            weight += task.weight(arrays)
            said = task.run(model, arrays) if task.generative else outputs.numpy()
            for index, result in zip(indices, task.reduce(said, arrays), strict=True):
                results[index] = result
    return {**task.score(items, results), "loss": total / max(weight, 1.0)}


def evaluate_streams(
    model: paddle.nn.Layer,
    task: PretrainingTask,
    streams: Mapping[str, Stream],
    batch_size: int,
    limit: int | None,
) -> dict[str, float]:
    """Mean losses over ``limit`` samples spread over each stream, of the objectives that these have, and ``loss``."""
    sums, units = dict.fromkeys(task.objectives, 0.0), dict.fromkeys(task.objectives, 0.0)
    with _in_eval_mode(model):
        for arrays in stream_batches(streams, task.max_length, batch_size, limit):
            batch = {name: paddle.to_tensor(array) for name, array in arrays.items()}
            for name, value in task.losses(model(**network_inputs(task, batch)), batch).items():
                sums[name] += float(value)
            for name, count in task.weights(arrays).items():
                units[name] += count
    means = {name: value / units[name] for name, value in sums.items() if units[name]}
    return {"loss": sum(task.objectives[name] * mean for name, mean in means.items()), **means}


@contextmanager
def _in_eval_mode(model: paddle.nn.Layer) -> Iterator[None]:
    """Within it the model is in eval mode, without gradients; afterwards in its former mode."""
    training = model.training
    model.eval()
    try:
        with paddle.no_grad():
            yield
    finally:
        if training:
            model.train()
