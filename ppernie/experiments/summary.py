"""All numbers of an experiment: by variant and seed, their spreads, and the differences to the baseline."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from ppernie.experiments.plan import Cell, Plan
from ppernie.experiments.records import Points, read_history, read_metric, read_points
from ppernie.experiments.sections import Curve, Experiment, Measure
from ppernie.experiments.statistics import (
    BySeed,
    Spread,
    differences,
    mean_points,
    spread,
    target_of,
    time_to,
)


@dataclass(frozen=True)
class Entry:
    """A number of one variant: by seed, over the seeds, and its paired difference to the baseline's."""

    seeds: BySeed
    spread: Spread | None
    difference: Spread | None


# By variant.
Column = dict[str, Entry]


@dataclass(frozen=True)
class Comparison:
    """A variant's paired differences to another one's, by the columns' titles, and of the seconds of training."""

    variant: str
    other: str
    columns: dict[str, Spread | None]
    seconds: Spread | None


@dataclass(frozen=True)
class Course:
    """A curve of all variants.

    Attributes:
        points: by variant and seed.
        times: x at which a variant first is as good as the baseline's value at its seed, by variant.
        ratios: those over the baseline's own.
        targets: the baseline's values by seed.
    """

    points: dict[str, dict[int, Points]]
    times: Column = field(default_factory=dict)
    ratios: Column = field(default_factory=dict)
    targets: BySeed = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """What an experiment found.

    Attributes:
        columns: of the report, by title.
        seconds: of training, over all stages of one seed.
        comparisons: those that the report asks for beside the one with the baseline.
        curves: of the report, by name.
    """

    columns: dict[str, Column]
    seconds: Column
    comparisons: list[Comparison]
    curves: dict[str, Course]


def summarise(experiment: Experiment, plan: Plan, failures: Collection[str]) -> Summary:
    """Reads the finished runs. A seed of which a run failed is left out of what that run belongs to."""
    cells = [cell for cell in plan.cells if cell.run.name not in failures]
    report = experiment.report
    columns = {
        title: _column(experiment, _values(experiment, cells, measure)) for title, measure in report.columns.items()
    }
    seconds = _column(experiment, _seconds(experiment, plan, failures))
    return Summary(
        columns=columns,
        seconds=seconds,
        comparisons=[
            Comparison(
                variant,
                other,
                {title: _paired(column[variant].seeds, column[other].seeds) for title, column in columns.items()},
                _paired(seconds[variant].seeds, seconds[other].seeds),
            )
            for variant, other in report.compare
        ],
        curves={name: _course(experiment, cells, curve) for name, curve in report.curves.items()},
    )


def _column(experiment: Experiment, values: Mapping[str, BySeed]) -> Column:
    baseline = values[experiment.report.baseline]
    return {variant: Entry(own, spread(list(own.values())), _paired(own, baseline)) for variant, own in values.items()}


def _paired(values: BySeed, others: BySeed) -> Spread | None:
    return spread(list(differences(values, others).values()))


def _values(experiment: Experiment, cells: list[Cell], measure: Measure) -> dict[str, BySeed]:
    """By variant and seed: the mean over the stage's own seeds and, where the measure names none, over its tasks."""
    tasks = experiment.tasks(measure)
    expected = len(tasks) * len(experiment.stages[measure.stage].seeds or [0])
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for cell in cells:
        if cell.stage == measure.stage and cell.task in tasks:
            value = read_metric(cell.run.folder, experiment.metric(measure, cell.task))
            found[cell.variant, cell.seed].append(math.exp(value) if measure.perplexity else value)
    return _by_variant(
        experiment, {key: float(np.mean(values)) for key, values in found.items() if len(values) == expected}
    )


def _seconds(experiment: Experiment, plan: Plan, failures: Collection[str]) -> dict[str, BySeed]:
    whole: dict[tuple[str, int], float] = defaultdict(float)
    broken = {(cell.variant, cell.seed) for cell in plan.cells if cell.run.name in failures}
    for cell in plan.cells:
        if (cell.variant, cell.seed) not in broken:
            whole[cell.variant, cell.seed] += float(read_history(cell.run.folder).seconds[-1])
    return _by_variant(experiment, whole)


def _by_variant(experiment: Experiment, values: Mapping[tuple[str, int], float]) -> dict[str, BySeed]:
    return {
        variant: {seed: values[variant, seed] for seed in experiment.seeds if (variant, seed) in values}
        for variant in experiment.variants
    }


def _course(experiment: Experiment, cells: list[Cell], curve: Curve) -> Course:
    found: dict[str, dict[int, list[Points]]] = {variant: defaultdict(list) for variant in experiment.variants}
    for cell in cells:
        if cell.stage == curve.stage and cell.task == curve.task:
            metric = experiment.metric(curve, cell.task)
            read = read_points(cell.run.folder, metric, curve.x)
            found[cell.variant][cell.seed].append(
                read._replace(values=np.exp(read.values)) if curve.perplexity else read
            )
    points = {variant: {seed: mean_points(runs) for seed, runs in own.items()} for variant, own in found.items()}
    if curve.time_to is None:
        return Course(points)
    baseline = experiment.report.baseline
    targets = {seed: target_of(own, curve.time_to, curve.better) for seed, own in points[baseline].items()}
    times = {
        variant: {
            seed: time
            for seed, own in seeds.items()
            if seed in targets and (time := time_to(own, targets[seed], curve.better)) is not None
        }
        for variant, seeds in points.items()
    }
    ratios = {
        variant: {seed: time / times[baseline][seed] for seed, time in seeds.items()}
        for variant, seeds in times.items()
    }
    return Course(points, _column(experiment, times), _column(experiment, ratios), targets)
