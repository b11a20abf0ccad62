"""Distillation between model folders, as a step of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppernie.config.sections import SlimSection
from ppernie.slim.runs import train_folder

if TYPE_CHECKING:
    from ppernie.config import Config
    from ppernie.slim.distillation.settings import Distillation


def distil_folder(
    student: Path, teacher: Path, output: Path, losses: Distillation, config: Config
) -> tuple[Path, dict[str, Any]]:
    """Trains the model of one folder on what that of another says; goes on where it was interrupted.

    Args:
        student: where the student starts, such as a pruned teacher.
        output: folder of the run.
        losses: its ``teacher`` is left aside.
        config: task, data and training of the run; architecture and weights are the student's.

    Returns:
        The model folder, and what ``train_results.json`` holds.

    Raises:
        UserError: a folder is no model folder, or the two models and the losses do not fit.
        Interrupted: a signal came; the state is saved.
    """
    taught = losses.model_copy(update={"teacher": str(teacher)})
    results = train_folder(student, output, config, SlimSection(distillation=taught))
    return output / "best_model", results
