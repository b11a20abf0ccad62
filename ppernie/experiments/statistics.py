"""Means and spreads over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ppernie.experiments.records import Points

# A number for every seed that has one.
BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1) of n values; without spread where n is 1."""

    mean: float
    std: float | None
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """Of some values; None where there are none."""
    if not values:
        return None
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None, len(values))


def differences(values: BySeed, baseline: BySeed) -> dict[int, float]:
    """Value less the other's, the baseline's, at the same seed, for the seeds that both have."""
    return {seed: value - baseline[seed] for seed, value in values.items() if seed in baseline}


def mean_points(runs: Sequence[Points]) -> Points:
    """The mean of several runs at the steps at which all of them were evaluated."""
    return Points(*(np.mean(part, axis=0) for part in aligned(runs)))


def aligned(runs: Sequence[Points]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, x and values, each of [runs, steps], at the steps at which all of the runs were evaluated."""
    common = sorted(set.intersection(*(set(run.steps.tolist()) for run in runs)))
    kept = [Points(*(part[np.isin(run.steps, common)] for part in run)) for run in runs]
    steps, x, values = (np.stack([run[part] for run in kept]) for part in range(3))
    return steps, x, values


def target_of(baseline: Points, which: str, better: str) -> float:
    """The ``best`` value of a curve, or its ``final`` one."""
    if which == "final":
        return float(baseline.values[-1])
    return float(baseline.values.min() if better == "lower" else baseline.values.max())


def time_to(points: Points, target: float, better: str) -> float | None:
    """x at the first evaluation that is as good as the target; None where none is."""
    reached = points.values <= target if better == "lower" else points.values >= target
    return float(points.x[int(np.argmax(reached))]) if reached.any() else None
