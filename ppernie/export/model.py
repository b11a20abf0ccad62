"""From a model folder to its export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppernie.data.batches import evaluation_batches
from ppernie.data.samples import sample_items
from ppernie.decoding.stepwise import StepwiseTask
from ppernie.errors import UserError
from ppernie.export.int8 import engine_for, export_int8
from ppernie.export.static_graph import Contents, export_model
from ppernie.export.steps import export_steps
from ppernie.inference.deploy import Field
from ppernie.inference.loading import open_folder

if TYPE_CHECKING:
    from ppernie.config.sections import Config
    from ppernie.tasks.base import Batch, Task
    from ppernie.zoo.description import ModelDescription

# Rows of the batches that an export is proven on, besides single rows.
_BATCH = 4


def export_folder(source: Path, target: Path, config: Config) -> dict[str, Any]:
    """Exports a model folder and proves the graph on real inputs, those of ``Data.eval`` or else ``Data.train``.

    A pretrained network that writes texts is exported for the config's task.

    Returns:
        The content of ``deploy.yml``.

    Raises:
        UserError: the weights are quantised, the engine does not suit the network or is not installed, there is no
            data to prove the graph on, or it differs by more than ``Export.tolerance`` or ``Export.int8_tolerance``.
    """
    own = {"name": config.Task.name, **config.Task.options.model_dump(mode="json")}
    opened = open_folder(source, instead=own, in_float=True)
    description, task, model = opened
    if description.quantization is not None:
        raise UserError(f"{source}: has quantised weights, which no static graph keeps; export the float model")
    engine = config.Export.engine or ("paddle" if description.int8 is None else engine_for(description.int8))
    if engine != "paddle" and task.generative:
        raise UserError(f"{source}: writes texts, which is exported for paddle alone; leave Export.engine")
    if isinstance(task, StepwiseTask):
        return export_steps(opened, target, _batches(task, config), config.Export.tolerance)
    if task.generative:
        raise UserError(f"{source}: writes texts step by step, which no static graph does; predict with the folder")
    batches = _batches(task, config)
    if engine != "paddle":
        contents = contents_of(description, task, batches)
        return export_int8(model, contents, target, config.Export.int8_tolerance, engine, description.int8)
    return export_model(model, contents_of(description.in_float(), task, batches), target, config.Export.tolerance)


def contents_of(description: ModelDescription, task: Task, batches: Sequence[Batch]) -> Contents:
    """What the export of a model folder holds, so that ``ppernie predict`` can run it.

    Args:
        task: the description's.
        batches: the task's, which the graph is proven on.
    """
    arch = description.arch_config()
    return Contents(
        inputs=[_field(name, task, arch) for name in task.input_names],
        outputs=[task.output_dims],
        max_length=description.max_length,
        samples=[{name: batch[name] for name in task.input_names} for batch in batches],
        extra={"model": description.model_dump()},
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
    items = sample_items(task, config.Task.name, source, config.Data, config.Export.samples)
    middle = len(items) // 2
    parts = [(items[:middle], 1), (items[middle:], _BATCH)]
    return [batch for part, size in parts for _, batch in evaluation_batches(task, part, size)]
