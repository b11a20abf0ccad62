"""Experiment files: read as configs are, and checked as a whole before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ppernie.config.keys import closest
from ppernie.config.report import Report
from ppernie.config.settings import KeyPath, Settings
from ppernie.config.validation import load_as
from ppernie.experiments.sections import Curve, Experiment, Measure

# What becomes part of the name of a file or folder.
_NAME = re.compile(r"[\w-][\w.-]*")


def load_experiment(path: str | Path, overrides: Sequence[str] = ()) -> tuple[Experiment, Settings]:
    """An experiment, and the values it came from, which tell where each key was set.

    Raises:
        UserError: the file cannot be read, or all that is wrong with it together.
    """
    experiment, report = load_as(Experiment, path, overrides)
    if experiment:
        _check_names(experiment, report)
        _check_stages(experiment, report)
        _check_variants(experiment, report)
    report.raise_problems()
    assert experiment
    _check_report(experiment, report)
    report.raise_problems()
    return experiment, report.settings


def _check_names(experiment: Experiment, report: Report) -> None:
    named: list[KeyPath] = [("stages", name) for name in experiment.stages]
    named += [("stages", name, "each", task) for name, stage in experiment.stages.items() for task in stage.each]
    named += [("variants", name) for name in experiment.variants]
    named += [("report", "curves", name) for name in experiment.report.curves]
    for path, name in [(("name",), experiment.name), *((path, str(path[-1])) for path in named)]:
        if not _NAME.fullmatch(name):
            report.add(path, f"{name!r} becomes part of a file name; take letters, digits, '.', '_' and '-'")


def _check_stages(experiment: Experiment, report: Report) -> None:
    _check_seeds(experiment.seeds, ("seeds",), report)
    for name, stage in experiment.stages.items():
        if (stage.config is None) == (not stage.each):
            report.add(("stages", name), "must name either config or each, and not both")
        _check_seeds(stage.seeds or [], ("stages", name, "seeds"), report)
        _check_start(experiment, name, stage.pretrained, ("stages", name, "pretrained"), report)
        for key, linked in stage.links.items():
            _check_start(experiment, name, linked, ("stages", name, "links", key), report)


def _check_seeds(seeds: Sequence[int], path: KeyPath, report: Report) -> None:
    if len(set(seeds)) < len(seeds):
        report.add(path, f"a seed is given twice in {', '.join(map(str, seeds))}")


def _check_start(experiment: Experiment, name: str, start: str | None, path: KeyPath, report: Report) -> None:
    """A stage may take the model of one before it that ends in one, or in one for each of its own tasks."""
    earlier = list(experiment.stages)[: list(experiment.stages).index(name)]
    if start is None:
        return
    if start not in earlier:
        report.add(path, f"{start!r} is no stage before {name}; {_hint(start, earlier)}")
    elif len(experiment.stages[start].seeds or [0]) > 1:
        report.add(path, f"{start} ends in several models; start from a stage of one seed")
    elif (theirs := experiment.stages[start].each) and not experiment.stages[name].cases.keys() <= theirs.keys():
        report.add(path, f"{start} ends in several models, one for each of {', '.join(theirs)}; have the same tasks")


def _check_variants(experiment: Experiment, report: Report) -> None:
    for variant, changes in experiment.variants.items():
        for stage, change in changes.items():
            path = ("variants", variant, stage)
            if stage not in experiment.stages:
                report.add(path, f"{stage!r} is no stage; {_hint(stage, experiment.stages)}")
            else:
                _check_start(experiment, stage, change.pretrained, (*path, "pretrained"), report)
                for key, linked in (change.links or {}).items():
                    _check_start(experiment, stage, linked, (*path, "links", key), report)


def _check_report(experiment: Experiment, report: Report) -> None:
    section = experiment.report
    if section.baseline not in experiment.variants:
        near = _hint(section.baseline, experiment.variants)
        report.add(("report", "baseline"), f"{section.baseline!r} is no variant; {near}")
    for number, pair in enumerate(section.compare):
        for variant in pair:
            if variant not in experiment.variants:
                near = _hint(variant, experiment.variants)
                report.add(("report", "compare", number), f"{variant!r} is no variant; {near}")
    for part, measures in (("columns", section.columns), ("curves", section.curves)):
        for name, measure in measures.items():
            _check_measure(experiment, measure, ("report", part, name), report)
    needed = {variant: experiment.needed(variant) for variant in experiment.variants}
    for stage in experiment.stages:
        if not any(stage in stages for stages in needed.values()):
            report.add(("stages", stage), "nothing is reported of it, and no reported stage starts from it")
    for variant, changes in experiment.variants.items():
        for stage in changes:
            if stage not in needed[variant]:
                report.add(
                    ("variants", variant, stage), "has no effect: nothing that is reported of the variant needs it"
                )


def _check_measure(experiment: Experiment, measure: Measure, path: KeyPath, report: Report) -> None:
    stage = experiment.stages.get(measure.stage)
    if stage is None:
        near = _hint(measure.stage, experiment.stages)
        report.add((*path, "stage"), f"{measure.stage!r} is no stage; {near}")
    elif measure.task is not None and measure.task not in stage.each:
        report.add(
            (*path, "task"), f"{measure.task!r} is no task of {measure.stage}; {_hint(measure.task, stage.each)}"
        )
    elif isinstance(measure, Curve):
        if measure.task is None and stage.each:
            report.add((*path, "task"), f"a curve is of one task; take one of {', '.join(stage.each)}")
        elif (experiment.metric(measure, measure.task) or "").startswith("test."):
            report.add((*path, "metric"), "the test set is evaluated once, so there is no curve of it")


def _hint(name: str, known: Iterable[str]) -> str:
    known = list(known)
    near = closest(name, known)
    return f"did you mean {near}?" if near else f"there is {', '.join(known) or 'none'}"
