"""``results.json`` and ``results.md``: what an experiment found, for programs and for people."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ppernie.experiments.plan import Plan
from ppernie.experiments.records import read_history, read_results
from ppernie.experiments.sections import Curve, Experiment, Measure
from ppernie.experiments.statistics import Spread
from ppernie.experiments.summary import Column, Comparison, Course, Summary
from ppernie.table import render

_ARROWS = {"higher": "↑", "lower": "↓"}


@dataclasses.dataclass(frozen=True)
class Findings:
    """An experiment that has ended.

    Attributes:
        failures: why, for the name of every run that failed.
        command: that repeats it.
        machine: that it ran on, with ``jobs`` runs at a time.
    """

    experiment: Experiment
    plan: Plan
    summary: Summary
    failures: Mapping[str, str]
    command: str
    machine: str
    jobs: int


def as_json(findings: Findings) -> dict[str, Any]:
    """Everything that was measured, as plain values; the runs' folders are relative to the experiment's."""
    experiment, summary, failures = findings.experiment, findings.summary, findings.failures
    return {
        "name": experiment.name,
        "question": experiment.question,
        "command": findings.command,
        "machine": findings.machine,
        "jobs": findings.jobs,
        "seeds": experiment.seeds,
        "baseline": experiment.report.baseline,
        "columns": {
            title: {"better": measure.better, "variants": _entries(summary.columns[title])}
            for title, measure in experiment.report.columns.items()
        },
        "training_seconds": _entries(summary.seconds),
        "comparisons": [dataclasses.asdict(comparison) for comparison in summary.comparisons],
        "curves": {name: _course(course) for name, course in summary.curves.items()},
        "runs": [
            {
                "variant": cell.variant,
                "seed": cell.seed,
                "stage": cell.stage,
                "task": cell.task,
                "folder": f"runs/{cell.run.name}",
                **(
                    {"failure": failures[cell.run.name]}
                    if cell.run.name in failures
                    else {
                        "training_seconds": float(read_history(cell.run.folder).seconds[-1]),
                        "results": read_results(cell.run.folder),
                    }
                ),
            }
            for cell in findings.plan.cells
        ],
    }


def _entries(column: Column) -> dict[str, Any]:
    return {variant: dataclasses.asdict(entry) for variant, entry in column.items()}


def _course(course: Course) -> dict[str, Any]:
    points = {
        variant: {seed: {key: part.tolist() for key, part in own._asdict().items()} for seed, own in seeds.items()}
        for variant, seeds in course.points.items()
    }
    times = {"targets": course.targets, "times": _entries(course.times), "ratios": _entries(course.ratios)}
    return {"points": points, **(times if course.times else {})}


def as_markdown(findings: Findings) -> str:
    """Tables and plots for a model card."""
    experiment, summary, failures = findings.experiment, findings.summary, findings.failures
    report, jobs = experiment.report, findings.jobs
    seeds = ", ".join(map(str, experiment.seeds))
    parts = [
        f"### {experiment.name}",
        experiment.question,
        f"Measured here on {findings.machine}, {jobs} run{'s' if jobs > 1 else ''} at a time, by "
        f"`{findings.command}`. Mean ± sample standard deviation over n = {len(experiment.seeds)} seeds ({seeds}), "
        "with its own n where a cell has another; the arrows point to what is better. Seconds are those of reading and "
        "updates, over all stages of one seed; start-up, evaluations and saving are left out.",
        render([_row(experiment, summary, variant) for variant in experiment.variants]),
    ]
    others = [variant for variant in experiment.variants if variant != report.baseline]
    if others:
        rows = [_difference_row(experiment, summary, variant) for variant in others]
        parts += [f"Difference to {report.baseline}, paired by seed:", render(rows)]
    if summary.comparisons:
        rows = [_comparison_row(experiment, comparison) for comparison in summary.comparisons]
        parts += ["Differences of other pairs, paired by seed:", render(rows)]
    parts.append("![columns](columns.png)")
    for name, curve in report.curves.items():
        if curve.time_to is not None:
            parts += _times(experiment, curve, summary.curves[name])
        parts.append(f"![{name}](curve_{name}.png)")
    if failures:
        labels = {run.name: run.label for run in findings.plan.runs}
        lines = [f"* {labels[name]}: {reason.splitlines()[-1].strip()}" for name, reason in failures.items()]
        parts += [f"{len(failures)} of {len(findings.plan.runs)} runs failed, and are left out:", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _row(experiment: Experiment, summary: Summary, variant: str) -> dict[str, object]:
    full = len(experiment.seeds)
    row: dict[str, object] = {"variant": variant}
    for title, measure in experiment.report.columns.items():
        row[_title(title, measure)] = cell(summary.columns[title][variant].spread, full)
    return row | {"training s": cell(summary.seconds[variant].spread, full)}


def _difference_row(experiment: Experiment, summary: Summary, variant: str) -> dict[str, object]:
    found = {title: column[variant].difference for title, column in summary.columns.items()}
    return _signed(experiment, variant, found, summary.seconds[variant].difference)


def _comparison_row(experiment: Experiment, comparison: Comparison) -> dict[str, object]:
    label = f"{comparison.variant} less {comparison.other}"
    return _signed(experiment, label, comparison.columns, comparison.seconds)


def _signed(
    experiment: Experiment, label: str, columns: Mapping[str, Spread | None], seconds: Spread | None
) -> dict[str, object]:
    """A row of differences."""
    full = len(experiment.seeds)
    row: dict[str, object] = {"variant": label}
    for title, measure in experiment.report.columns.items():
        row[_title(title, measure)] = cell(columns[title], full, sign="+")
    return row | {"training s": cell(seconds, full, sign="+")}


def _title(title: str, measure: Measure) -> str:
    return f"{title} {_ARROWS[measure.better]}"


def _times(experiment: Experiment, curve: Curve, course: Course) -> list[str]:
    baseline, full = experiment.report.baseline, len(experiment.seeds)
    compared = {variant: [seed for seed in seeds if seed in course.targets] for variant, seeds in course.points.items()}
    target = float(np.mean(list(course.targets.values()))) if course.targets else math.nan
    rows: list[dict[str, object]] = [
        {
            "variant": variant,
            curve.x: cell(course.times[variant].spread, full),
            f"of {baseline}'s": cell(course.ratios[variant].spread, full),
            "seeds that reach it": f"{len(course.times[variant].seeds)} of {len(compared[variant])}",
        }
        for variant in experiment.variants
    ]
    return [
        f"{curve.x.capitalize()} of {curve.stage} until an evaluation's {experiment.shown(curve)} is as good as the "
        f"{curve.time_to} one of {baseline} at the same seed (mean {target:.4g}):",
        render(rows),
    ]


def cell(found: Spread | None, full: int, sign: str = "") -> str:
    """Mean ± spread with two digits of the spread; n where it is not ``full``; a dash where there is nothing."""
    if found is None:
        return "-"
    others = f" (n = {found.n})" if found.n != full else ""
    if found.std is None or not math.isfinite(found.std):
        return f"{found.mean:{sign}.4g}{others}"
    # A spread of 0 is that of equal values: their digits are all that is known.
    digits = min(6, max(0, 1 - math.floor(math.log10(found.std)))) if found.std else 4
    return f"{found.mean:{sign}.{digits}f} ± {found.std:.{digits}f}{others}"
