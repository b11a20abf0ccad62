"""How large a folder is, and how good what it holds: what a compressed model is compared by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ppernie.data.batches import evaluation_batches
from ppernie.data.readers import read_examples
from ppernie.data.streams import evaluation_batches as stream_batches
from ppernie.engine.assemble import open_streams
from ppernie.engine.evaluate import evaluate, evaluate_streams
from ppernie.errors import UserError
from ppernie.inference.loading import is_export
from ppernie.inference.pipeline import open_pipeline
from ppernie.tasks.pretraining import PretrainingTask
from ppernie.zoo.folder import load_model, read_description, read_stored

if TYPE_CHECKING:
    from ppernie.config.sections import Config, Source
    from ppernie.tasks.base import Batch, Example, Item, Task
    from ppernie.zoo.description import ModelDescription


class Scores(NamedTuple):
    """How good a model is.

    Attributes:
        metrics: by name; ``loss`` among them, but for an export.
        metric: name of the one that counts: ``Eval.metric``, or the task's first.
        examples: how many they are of; of a corpus, samples.
    """

    metrics: dict[str, float]
    metric: str
    examples: int

    @property
    def value(self) -> float:
        """The metric that counts."""
        return self.metrics[self.metric]


def megabytes(folder: Path) -> float:
    """Size of all files of a folder in MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def parameters(folder: Path) -> int | None:
    """Numbers in the weights of a model folder; None for an export, which does not tell."""
    if is_export(folder):
        return None
    stored = read_stored(folder, read_description(folder))
    return sum(math.prod(tensor.shape) for tensor in stored.values())


def scores(folder: Path, config: Config) -> Scores:
    """Metrics on ``Data.eval``; of a pretraining task its losses. An export answers through its runtime.

    Args:
        config: names the data and the batch size; the task is the folder's.

    Raises:
        UserError: the folder or the data cannot be read, ``Data.eval`` is missing, or it does not give the metric.
    """
    if is_export(folder):
        pipeline = open_pipeline(folder, device=config.Global.device, threads=config.Global.threads)
        examples = _examples(pipeline.description, config)
        return _counted(folder, config, pipeline.task, pipeline.score(examples), len(examples))
    model, task, description = load_model(folder)
    if isinstance(task, PretrainingTask):
        source = eval_source(config)
        streams = open_streams(config, task, source, "eval")
        losses = evaluate_streams(model, task, streams, config.Eval.batch_size, source.limit)
        samples = sum(min(len(stream), source.limit or len(stream)) for stream in streams.values())
        return _counted(folder, config, task, losses, samples)
    examples = _examples(description, config)
    items = _items(task, examples)
    return _counted(folder, config, task, evaluate(model, task, items, config.Eval.batch_size), len(examples))


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
    return _items(task, _examples(description, config))


def _examples(description: ModelDescription, config: Config) -> list[Example]:
    data, task = config.Data, description.task_name
    return read_examples(eval_source(config), root=data.root, fields=data.fields, task=task, purpose="eval")


def _items(task: Task, examples: Sequence[Example]) -> list[Item]:
    return [item for example in examples for item in task.expand(example, True)]


def _counted(folder: Path, config: Config, task: Task, metrics: dict[str, float], examples: int) -> Scores:
    metric = config.Eval.metric or task.metric_names[0]
    if metric not in metrics:
        raise UserError(f"{folder}: has no metric {metric} on Data.eval, but {', '.join(metrics)}; set Eval.metric")
    return Scores(metrics, metric, examples)
