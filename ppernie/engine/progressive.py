"""Progressive training (ERNIE 3.0, section 3.2.2): length, batch and dropout grow together at the start of a run.

The learning rate does, too, where ``Optimizer.schedule.warmup`` says as many steps.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from ppernie.data.streams import Shape
from ppernie.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ppernie.config.sections import Config, TrainSection

# Lengths are multiples of it, which suits the kernels and leaves few distinct shapes.
_GRAIN = 8


def progress(train: TrainSection, step: int) -> float:
    """How far into the phase of growth an update is, counted from 0: in [0, 1]."""
    return min(1.0, step / train.progressive.steps) if train.progressive else 1.0


def shapes(train: TrainSection, length: int, steps: int, world: int) -> list[Shape]:
    """Shapes of the batches of each step over ``world`` ranks, with up to ``length`` tokens."""
    return [_shape(train, length, world, progress(train, step)) for step in range(steps)]


def schedule_clock(config: Config, steps: int, world: int) -> Sequence[int]:
    """What ``Optimizer.schedule`` goes by, before each of the steps of a run over ``world`` ranks, and at its end.

    Raises:
        UserError: the warm-up takes all samples of the run.
    """
    schedule = config.Optimizer.schedule
    if schedule.unit == "steps":
        return range(steps + 1)
    batches = shapes(config.Train, config.Data.max_length, steps, world)
    clock = list(accumulate((batch.rows * batch.rounds for batch in batches), initial=0))
    if isinstance(schedule.warmup, int) and schedule.warmup >= clock[-1]:
        raise UserError(
            f"Optimizer.schedule.warmup: {schedule.warmup} samples of warm-up leave nothing of the run's {clock[-1]}"
        )
    return clock


def _shape(train: TrainSection, length: int, world: int, done: float) -> Shape:
    rows, rounds = train.batch_size, train.accumulate_steps
    if train.progressive:
        first_rows, first_length = train.progressive.batch_size or rows, train.progressive.length or length
        first_rounds = train.progressive.accumulate_steps or rounds
        # Batches grow by factors, and so by equally much with every sample; lengths grow by grains.
        rows = round(first_rows * (rows / first_rows) ** done)
        rounds = round(first_rounds * (rounds / first_rounds) ** done)
        grains = round((length - first_length) / _GRAIN * done)
        length = first_length + _GRAIN * grains if done < 1 else length
    return Shape(rows * world, length, rounds)
