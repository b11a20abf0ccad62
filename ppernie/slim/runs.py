"""Training runs that start from a model folder, as parts of a recipe."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppernie.config.sections import ArchSection, SlimSection
from ppernie.errors import UserError
from ppernie.files import recover_folder
from ppernie.peft.weights import fingerprint
from ppernie.zoo.folder import read_description, read_stored

if TYPE_CHECKING:
    from ppernie.config import Config

_ORIGIN = "origin.json"
_NOTHING_BESIDE = SlimSection()


def train_folder(
    folder: Path, output: Path, config: Config, slim: SlimSection = _NOTHING_BESIDE, **training: Any
) -> dict[str, Any]:
    """Trains the model of a folder; goes on where it was interrupted.

    Args:
        output: folder of the run, whose ``best_model`` is what came of it.
        config: task, data and training of the run; architecture and weights are the folder's.
        slim: what it learns beside, and in which numbers.
        training: keys of ``Train`` in place of the config's.

    Returns:
        What ``train_results.json`` holds.

    Raises:
        UserError: it is no model folder, of another task, or does not fit the run.
        Interrupted: a signal came; the state is saved.
    """
    from ppernie.engine.train import train

    description = read_description(folder)
    if description.task_name != config.Task.name:
        raise UserError(
            f"{folder}: answers {description.task_name}, and Task.name says {config.Task.name}; give the config of the "
            "model's own task"
        )
    sections = {
        "Arch": ArchSection(name=description.arch["name"], variant=None, model=description.arch_config()),
        "Global": config.Global.model_copy(update={"output_dir": str(output), "pretrained_model": str(folder)}),
        "Train": config.Train.model_copy(update=training),
        "Slim": slim,
    }
    return train(config.model_copy(update=sections), "auto")


def start_of(source: Path, run: Path, make: Callable[[Path], None]) -> Path:
    """The model folder that a run starts from, made of another folder once, so that the run can be resumed.

    Args:
        source: what it is made of, which may be elsewhere the next time.
        run: the run's folder; the start lies in it.
        make: writes the start into a folder that it is given.

    Raises:
        UserError: the run has begun with another source.
    """
    start, origin = run / "start", run / _ORIGIN
    checksum = fingerprint(read_stored(source, read_description(source)))
    recover_folder(start)
    if start.exists() and origin.exists():
        if json.loads(origin.read_text(encoding="utf-8")) != checksum:
            raise UserError(f"{run}: belongs to a run that started from another model than {source}; remove it first")
        return start
    shutil.rmtree(start, ignore_errors=True)
    make(start)
    origin.write_text(json.dumps(checksum), encoding="utf-8")
    return start
