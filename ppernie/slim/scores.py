"""How large a model folder is, and how good its network: what a compressed one is compared by."""

from __future__ import annotations

from pathlib import Path

from ppernie.config.sections import Config
from ppernie.data.readers import read_examples
from ppernie.engine.assemble import open_streams
from ppernie.engine.evaluate import evaluate, evaluate_streams
from ppernie.errors import UserError
from ppernie.tasks.pretraining import PretrainingTask
from ppernie.zoo.folder import load_model


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
    source = config.Data.eval
    if source is None:
        raise UserError("Data.eval is missing: name the labelled file, data set or corpus to compare on")
    model, task, description = load_model(folder)
    if isinstance(task, PretrainingTask):
        streams = open_streams(config, task, source, "eval")
        return evaluate_streams(model, task, streams, config.Eval.batch_size, source.limit)
    examples = read_examples(
        source, root=config.Data.root, fields=config.Data.fields, task=description.task_name, purpose="eval"
    )
    items = [item for example in examples for item in task.expand(example, True)]
    return evaluate(model, task, items, config.Eval.batch_size)
