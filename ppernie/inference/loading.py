"""Model folders and exports opened to answer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from ppernie import registry
from ppernie.config.yaml12 import parse_yaml
from ppernie.errors import UserError
from ppernie.inference.deploy import DEPLOY, read_values
from ppernie.tasks.pretraining import PretrainingTask
from ppernie.zoo.description import ModelDescription

if TYPE_CHECKING:
    from ppernie.tasks.base import Task


class Opened(NamedTuple):
    """A network, or what takes its place, and the task that asks it."""

    description: ModelDescription
    task: Task
    network: Any


def is_export(folder: Path) -> bool:
    """Whether the folder holds an export."""
    return (folder / DEPLOY).exists()


def has_steps(folder: Path) -> bool:
    """Whether an export's network reads step by step. Raises UserError where its ``deploy.yml`` is broken."""
    values = read_values(folder)
    return isinstance(values, dict) and "steps" in values


def open_network(
    folder: Path, device: str, threads: int | None, overrides: Sequence[str] = (), stream: bool = False
) -> Opened:
    """A model folder, or an export that reads step by step.

    Args:
        device: ``auto``, ``cpu`` or ``gpu``.
        threads: CPU threads.
        overrides: options of the task that are changed, such as ``decoding.strategy=beam``.
        stream: read the weights of a model folder block by block, in every pass (``ppernie.inference.streaming``).

    Raises:
        UserError: the folder is neither, its network answers nothing, an option is wrong, or the device cannot be used.
    """
    if is_export(folder):
        if stream:
            raise UserError(f"{folder}: an export is not streamed; give the model folder that it was made of")
        return _open_steps(folder, device, threads, overrides)
    from ppernie.device import use_device

    use_device(device, threads)
    return open_folder(folder, overrides, stream=stream)


def open_folder(
    folder: Path,
    overrides: Sequence[str] = (),
    instead: dict[str, Any] | None = None,
    stream: bool = False,
    in_float: bool = False,
) -> Opened:
    """The network of a model folder in eval mode, on the current device.

    Args:
        overrides, stream: as ``open_network``'s.
        instead: as ``answering``'s.
        in_float: the network computes in float, also where the description says INT8.

    Raises:
        UserError: the folder is none, its network answers nothing, or an option is wrong.
    """
    from ppernie.zoo.folder import read_description, read_tokenizer

    try:
        description = changed(answering(read_description(folder), instead), overrides)
    except UserError as error:
        raise UserError(str(error) if str(folder) in str(error) else f"{folder}: {error}") from error
    task = description.build_task(read_tokenizer(folder))
    built = description.in_float() if in_float else description
    network = opener(stream)(folder, description, lambda: built.build_model(task))
    network.eval()
    return Opened(description, task, network)


def opener(stream: bool) -> Callable[..., Any]:
    """What loads a network: ``ppernie.zoo.folder.load_built``, or what streams its blocks."""
    if stream:
        from ppernie.inference.streaming import stream_built

        return stream_built
    from ppernie.zoo.folder import load_built

    return load_built


def _open_steps(folder: Path, device: str, threads: int | None, overrides: Sequence[str]) -> Opened:
    from ppernie.inference.steps import StepsPredictor
    from ppernie.zoo.folder import read_tokenizer

    predictor = StepsPredictor(folder, device=device, threads=threads)
    described = ModelDescription.parse(predictor.deploy.extra.get("model"), folder / DEPLOY)
    description = changed(described, overrides)
    task: Any = description.build_task(read_tokenizer(folder))
    return Opened(description, task, task.exported(predictor, description.arch_config()))


def answering(description: ModelDescription, instead: dict[str, Any] | None = None) -> ModelDescription:
    """The description, with a task that writes texts in place of pretraining or none, where the network has one.

    Args:
        instead: name and options of that task; by default the first of the architecture's, with its default options.
    """
    named = description.task
    if named is not None and not issubclass(registry.task_class(named["name"]), PretrainingTask):
        return description
    served = registry.arch_tasks(description.arch["name"])
    writing = [name for name in served if registry.task_class(name).generative]
    if not writing:
        return description
    task = instead if instead is not None and instead["name"] in writing else {"name": writing[0]}
    return description.model_copy(update={"task": task})


def changed(description: ModelDescription, overrides: Sequence[str]) -> ModelDescription:
    """The description with options of its task changed. Raises UserError for one that is unknown or wrong."""
    task = copy.deepcopy(description.task or {})
    for override in overrides:
        key, equals, text = override.partition("=")
        *path, last = key.split(".")
        if not (equals and last and all(path)):
            raise UserError(f"-o {override}: expected an option of the task and its value, key=value")
        section = task
        for step in path:
            section = section.setdefault(step, {})
            if not isinstance(section, dict):
                raise UserError(f"-o {override}: {step} is no section")
        section[last], _ = parse_yaml(text, f"-o {override}")
    description = description.model_copy(update={"task": task or None})
    try:
        if overrides:
            description.task_options()
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"-o {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    return description
