"""From a model folder to its export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppernie.data.batches import evaluation_batches
from ppernie.data.readers import read_examples
from ppernie.decoding.stepwise import StepwiseTask
from ppernie.errors import UserError
from ppernie.export.static_graph import export_model
from ppernie.export.steps import export_steps
from ppernie.inference.deploy import Field
from ppernie.inference.loading import open_folder

if TYPE_CHECKING:
    from ppernie.config.sections import Config
    from ppernie.tasks.base import Batch, Task

# Rows of the batches that an export is proven on, besides single rows.
_BATCH = 4


def export_folder(source: Path, target: Path, config: Config) -> dict[str, Any]:
    """Exports a model folder and proves the graph on real inputs, those of ``Data.eval`` or else ``Data.train``.

    A pretrained network that writes texts is exported for the config's task.

    Returns:
        The content of ``deploy.yml``.

    Raises:
        UserError: the weights are quantised, there is no data to prove the graph on, or it differs by more than
            ``Export.tolerance``.
    """
    own = {"name": config.Task.name, **config.Task.options.model_dump(mode="json")}
    opened = open_folder(source, instead=own)
    description, task, model = opened
    if description.quantization is not None:
        raise UserError(f"{source}: has quantised weights, which no static graph keeps; export the float model")
    if isinstance(task, StepwiseTask):
        return export_steps(opened, target, _batches(task, config), config.Export.tolerance)
    if task.generative:
        raise UserError(f"{source}: writes texts step by step, which no static graph does; predict with the folder")
    arch = model.config
    return export_model(
        model,
        inputs=[_field(name, task, arch) for name in task.input_names],
        outputs=[task.output_dims],
        folder=target,
        samples=[{name: batch[name] for name in task.input_names} for batch in _batches(task, config)],
        tolerance=config.Export.tolerance,
        extra={"model": description.model_dump()},
        max_length=description.max_length,
        add_files=task.tokenizer.save,
    )


def _field(name: str, task: Task, arch: Any) -> Field:
    ids = name in task.id_names
    return Field(
        name=name,
        dtype="int64",
        dims=task.input_dims,
        pad=arch.pad_token_id if ids else 0,
        upper=arch.vocab_size if ids else arch.type_vocab_size,
    )


def _batches(task: Task, config: Config) -> list[Batch]:
    """Real inputs, half of them alone and half in small batches."""
    source = config.Data.eval or config.Data.train
    if source is None:
        raise UserError("an export is proven on real inputs: name Data.eval or Data.train")
    few = source.model_copy(update={"limit": config.Export.samples})
    data = config.Data
    examples = read_examples(few, root=data.root, fields=data.fields, task=config.Task.name, purpose="predict")
    items = [item for example in examples for item in task.expand(example, labelled=False)][: config.Export.samples]
    middle = len(items) // 2
    parts = [(items[:middle], 1), (items[middle:], _BATCH)]
    return [batch for part, size in parts for _, batch in evaluation_batches(task, part, size)]
