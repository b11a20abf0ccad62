"""How large a model folder is, and how good its network: what a compressed one is compared by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ppernie.config.sections import Config, Source
from ppernie.data.batches import evaluation_batches
from ppernie.data.readers import read_examples
from ppernie.data.streams import evaluation_batches as stream_batches
from ppernie.engine.assemble import open_streams
from ppernie.engine.evaluate import evaluate, evaluate_streams
from ppernie.errors import UserError
from ppernie.tasks.pretraining import PretrainingTask
from ppernie.zoo.folder import load_model

if TYPE_CHECKING:
    from ppernie.tasks.base import Batch, Item, Task
    from ppernie.zoo.description import ModelDescription


def weight_megabytes(folder: Path) -> float:
    """Size of the weight files in MB."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 1e6


def scores(folder: Path, config: Config) -> dict[str, float]:
    """Metrics and ``loss`` on ``Data.eval``; of a pretraining task its losses.

    Args:
        config: names the data and the batch size; the task is the folder's.

    Raises:
        UserError: the folder or the data cannot be read, or ``Data.eval`` is missing.
    """
    model, task, description = load_model(folder)
    if isinstance(task, PretrainingTask):
        source = eval_source(config)
        streams = open_streams(config, task, source, "eval")
        return evaluate_streams(model, task, streams, config.Eval.batch_size, source.limit)
    return evaluate(model, task, eval_items(task, description, config), config.Eval.batch_size)


def eval_batches(task: Task, description: ModelDescription, config: Config) -> Iterator[Batch]:
    """The batches of ``Data.eval`` for a folder's task. Raises UserError as ``scores``."""
    source = eval_source(config)
    if isinstance(task, PretrainingTask):
        streams = open_streams(config, task, source, "eval")
        yield from stream_batches(streams, task.max_length, config.Eval.batch_size, source.limit)
        return
    for _, batch in evaluation_batches(task, eval_items(task, description, config), config.Eval.batch_size):
        yield batch


def eval_source(config: Config) -> Source:
    """``Data.eval``. Raises UserError where it is missing."""
    if config.Data.eval is None:
        raise UserError("Data.eval is missing: name the labelled file, data set or corpus to compare on")
    return config.Data.eval


def eval_items(task: Task, description: ModelDescription, config: Config) -> list[Item]:
    """The labelled items of ``Data.eval`` for a folder's task. Raises UserError where it cannot be read."""
    examples = read_examples(
        eval_source(config),
        root=config.Data.root,
        fields=config.Data.fields,
        task=description.task_name,
        purpose="eval",
    )
    return [item for example in examples for item in task.expand(example, True)]
