"""Distillation as a step of a recipe: from a model to a student that learns from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppernie.config.loader import read_settings
from ppernie.files import link_folder
from ppernie.slim.distillation.settings import Distil
from ppernie.slim.distillation.stages import Chain, run_chain, stage_folder
from ppernie.zoo.folder import read_description

if TYPE_CHECKING:
    from ppernie.config import Config

# Stands for the file of a chain: the configs are relative to the working folder.
_PLACE = "Slim.distil"


def distil(source: Path, target: Path, options: Distil, config: Config) -> None:
    """Runs the stages, or goes on with them; the last one's best model is the target.

    Args:
        source: model folder of the teacher.
        target: model folder of the student.
        config: its ``Global`` is where and on which device the stages run.

    Raises:
        UserError: the teacher is quantised, a stage's config is wrong, or student, teacher and losses do not fit each
            other.
        Interrupted: a signal came; the state is saved.
    """
    read_description(source).check_unquantized(source)
    machine = {"device": config.Global.device, "threads": config.Global.threads}
    own = [f"Global.{key}={value}" for key, value in machine.items() if value is not None]
    own.append(f"Slim.distillation.teacher={source}")
    stages = {
        name: stage.model_copy(update={"override": [*own, *stage.override]}) for name, stage in options.stages.items()
    }
    chain = Chain(output_dir=config.Global.output_dir, stages=stages)
    run_chain(_PLACE, chain)
    link_folder(Path(stage_folder(chain, list(stages)[-1])) / "best_model", target)


def described(options: Distil) -> list[Any]:
    """All that the stages' runs depend on. Raises UserError where a config file cannot be read."""
    return [(read_settings(stage.config).values, stage.model_dump()) for stage in options.stages.values()]
