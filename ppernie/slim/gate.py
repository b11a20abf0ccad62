"""The gate of a recipe: no step may cost more than the config allows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from ppernie.errors import UserError
from ppernie.tasks.base import LOWER_IS_BETTER

if TYPE_CHECKING:
    from ppernie.slim.scores import Scores
    from ppernie.slim.settings import Gate

# Points by which a difference of scores may be off: far fewer than one example of any data.
_ROUNDING = 1e-9


class Refused(UserError):
    """A step lost more than the gate allows, or its score is not finite."""


def check_source(gate: Gate, source: Scores) -> None:
    """Whether what is compared with says anything.

    Raises:
        UserError: its score is not finite, or one example is more than the gate allows.
    """
    if not math.isfinite(source.value):
        raise UserError(
            f"the model to compress has the {source.metric} {source.value} on Data.eval; nothing can be compared with "
            "that, so train it first"
        )
    # A loss is a mean of many numbers, of which none counts as right or wrong.
    needed = 0 if source.metric in LOWER_IS_BETTER else math.ceil(100 / gate.points)
    if source.examples < needed:
        raise UserError(
            f"Data.eval: {source.examples} examples do not tell Slim.gate.points = {gate.points:g}, as each of them is "
            f"{100 / max(source.examples, 1):.1f}; give at least {needed}, raise the points, or set Slim.gate to null"
        )


def check_step(gate: Gate, step: str, source: Scores, scores: Scores, folder: Path) -> None:
    """Lets a step's result pass.

    Args:
        step: its key in the section ``Slim``.
        folder: what the step has written.

    Raises:
        Refused: it lost more than the gate allows, or its score is not finite.
        UserError: it is of another task.
    """
    if scores.metric != source.metric:
        raise UserError(
            f"Slim.{step}: ends with {folder}, which is scored by {scores.metric}, and the model to compress by "
            f"{source.metric}; let the step end with that one's task"
        )
    lost = _lost(source, scores)
    if lost <= gate.points + _ROUNDING:
        return
    unit = "percent" if source.metric in LOWER_IS_BETTER else "points"
    amount = f"{lost:.2f} {unit}" if math.isfinite(lost) else "all of it"
    raise Refused(
        f"Slim.{step}: broke the model: {source.metric} was {source.value:.4f} and is {scores.value:.4f} on the "
        f"{scores.examples} examples of Data.eval. That loses {amount}, and Slim.gate.points allows {gate.points:g}. "
        f"Look into {folder}; make the step milder or leave it out, or allow more points"
    )


def _lost(source: Scores, scores: Scores) -> float:
    """Points, or percent of a loss or a perplexity; infinitely many where the score is not finite."""
    if not math.isfinite(scores.value):
        return math.inf
    if source.metric not in LOWER_IS_BETTER:
        return 100 * (source.value - scores.value)
    rise = scores.value - source.value
    return 100 * rise / source.value if source.value > 0 else math.copysign(math.inf, rise) if rise else 0.0
