"""Learning-rate schedules as pure functions of how far a run is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ppernie.config.sections import Schedule


def steps_of(amount: float | int, total: int) -> int:
    """A share of the run (a float) or a number of steps (an int), as steps."""
    return round(amount * total) if isinstance(amount, float) else amount


def learning_rate(schedule: Schedule, peak: float, clock: Sequence[int], step: int) -> float:
    """Learning rate of update ``step``, counted from 0.

    Args:
        clock: what ``schedule.unit`` counts, before each update and at the run's end: ``range(total + 1)`` for updates.

    Warm-up rises linearly so that its last update reaches ``peak``. Then linear, cosine and polynomial fall over
    the rest of the run to ``min_ratio * peak``; wsd stays at the peak and falls linearly over its last ``decay``
    updates (Hu et al. 2024, arXiv:2404.06395, section 4); constant stays.
    """
    done, total = clock[step], clock[-1]
    warmup = steps_of(schedule.warmup, total)
    if done < warmup:
        return peak * min(clock[step + 1] / warmup, 1.0)
    if schedule.name == "constant":
        return peak
    start = warmup
    if schedule.name == "wsd":
        start = max(total - steps_of(schedule.decay, total), warmup)
    progress = min(max(done - start, 0) / max(total - start, 1), 1.0)
    left = {
        "linear": 1.0 - progress,
        "wsd": 1.0 - progress,
        "cosine": 0.5 * (1.0 + math.cos(math.pi * progress)),
        "polynomial": (1.0 - progress) ** schedule.power,
    }[schedule.name]
    return peak * (schedule.min_ratio + (1.0 - schedule.min_ratio) * left)
