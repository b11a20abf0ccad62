"""From an experiment to its training runs, each checked before the first one starts."""

from __future__ import annotations

import copy
import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ppernie.config import Config
from ppernie.config.digest import digest
from ppernie.config.loader import read_settings
from ppernie.config.settings import KeyPath, Settings, dotted
from ppernie.config.validation import validate
from ppernie.engine.inputs import input_digests
from ppernie.errors import UserError
from ppernie.experiments.sections import Experiment

# Values of Global that change nothing of the mathematics.
_FREE = ("output_dir", "threads")


@dataclass(frozen=True)
class Run:
    """One training run; variants that agree so far share it.

    Attributes:
        name: stage, task, seed and a digest of the resolved config and of what it reads: equal names are equal runs.
        label: the same for people, with the first variant that needs it.
        folder: its output folder.
        config: the config it is trained by.
        parent: the run whose best model it starts from.
        links: the runs whose best models are values of its config, by key.
        metrics: what is reported of it; None is the metric that picks the best model.
    """

    name: str
    label: str
    folder: Path
    config: Config
    parent: Run | None
    links: Mapping[str, Run]
    metrics: tuple[str | None, ...]

    @property
    def needs(self) -> list[Run]:
        """The runs whose models it takes."""
        return [*([] if self.parent is None else [self.parent]), *self.links.values()]

    @property
    def model(self) -> str:
        """Folder of its best model."""
        return str(self.folder / "best_model")

    @property
    def kind(self) -> str:
        """Stage and task: runs that take about as long as each other."""
        return self.name.rpartition("-seed")[0]

    @property
    def finished(self) -> bool:
        """Whether its results are there; they are what a run writes last."""
        return (self.folder / "train_results.json").exists()


class Cell(NamedTuple):
    """Where a run stands in the experiment; ``seed`` is that of the whole chain."""

    variant: str
    seed: int
    stage: str
    task: str | None
    run: Run


@dataclass
class Plan:
    """All cells of an experiment, and their runs in an order in which each comes after those it needs."""

    cells: list[Cell]

    @cached_property
    def runs(self) -> list[Run]:
        """Every run once."""
        first: dict[str, Run] = {}
        for cell in self.cells:
            first.setdefault(cell.run.name, cell.run)
        return list(first.values())


def make_plan(experiment: Experiment, settings: Settings, folder: Path, threads: int | None) -> Plan:
    """The runs that an experiment needs, with their configs resolved and checked.

    Args:
        settings: what the experiment was read from.
        folder: of the experiment; the runs have folders in its ``runs``.
        threads: of each run; None leaves them to the configs.

    Raises:
        UserError: a config cannot be read, or is wrong with the experiment's overrides.
    """
    cells: list[Cell] = []
    # Seed by seed, so that an experiment that is cut short has compared all variants at some.
    for seed in experiment.seeds:
        for variant in experiment.variants:
            models: dict[tuple[str, str | None], Run] = {}
            for stage in experiment.needed(variant):
                start, links = experiment.start(variant, stage), experiment.links(variant, stage)
                for task in experiment.stages[stage].cases:
                    parent = _model(models, start, task) if start is not None else None
                    linked = {key: _model(models, other, task) for key, other in links.items()}
                    for own in experiment.stages[stage].seeds or [seed]:
                        origin = _Origin(experiment, settings, variant, stage, task)
                        run = _make_run(origin, own, parent, linked, folder / "runs", threads)
                        cells.append(Cell(variant, seed, stage, task, run))
                        models[stage, task] = run
    return Plan(cells)


def _model(models: Mapping[tuple[str, str | None], Run], stage: str, task: str | None) -> Run:
    """The run of a stage that ends in the model for a task: its only one, or that task's."""
    return models[stage, None] if (stage, None) in models else models[stage, task]


class _Origin(NamedTuple):
    """What a run's config is made from."""

    experiment: Experiment
    settings: Settings
    variant: str
    stage: str
    task: str | None

    @property
    def title(self) -> str:
        return f"{self.stage}-{self.task}" if self.task else self.stage

    def merged(self) -> Settings:
        """The config file with the overrides of stage, task and variant laid over it, in this order."""
        stage: KeyPath = ("stages", self.stage)
        case = (*stage, "each", self.task) if self.task else stage
        config = self.experiment.stages[self.stage].cases[self.task].config
        place = f"{self.settings.origin((*case, 'config'))}: {dotted((*case, 'config'))}"
        try:
            merged = read_settings(config)
        except UserError as error:
            raise UserError(f"{place}: {error}") from error
        for path in dict.fromkeys((stage, case, ("variants", self.variant, self.stage))):
            merged.merge(_piece(self.settings, (*path, "override")))
        merged.source = f"{place} = {config}, variant {self.variant}"
        return merged

    def metrics(self) -> tuple[str | None, ...]:
        experiment = self.experiment
        measures = [m for m in experiment.report.measures if m.stage == self.stage and m.task in (None, self.task)]
        return tuple(dict.fromkeys(experiment.metric(measure, self.task) for measure in measures))


def _piece(settings: Settings, path: KeyPath) -> Settings:
    """The map at ``path`` as settings by itself; an empty one where nothing is there."""
    values: Any = settings.values
    for step in path:
        values = values.get(step, {})
    piece = Settings(settings.source, copy.deepcopy(values))

    def note(values: dict[str, Any], below: KeyPath) -> None:
        for key, value in values.items():
            piece.origins[(*below, key)] = settings.origin((*path, *below, key)) or settings.source
            if isinstance(value, dict):
                note(value, (*below, key))

    note(piece.values, ())
    return piece


def _make_run(
    origin: _Origin, seed: int, parent: Run | None, links: Mapping[str, Run], folder: Path, threads: int | None
) -> Run:
    settings = origin.merged()
    for key, linked in links.items():
        settings.merge(_linked(key, linked.model, settings.source))
    own = _map(settings, "Global")
    own |= {"seed": seed, "output_dir": str(folder)} | ({"threads": threads} if threads else {})
    if parent is not None:
        # Its model is not there yet: the config is checked with the network that it will have.
        own["pretrained_model"] = None
        arch = _map(settings, "Arch")
        if arch.get("variant") is None:
            settings.values["Arch"] = parent.config.Arch.model.model_dump(mode="json", round_trip=True) | arch
    config = validate(settings)
    metrics = origin.metrics()
    _check_data(config, metrics, settings.source)
    name = f"{origin.title}-seed{seed}-{_digest(config, parent, links)}"
    ends: dict[str, Any] = {"output_dir": str(folder / name)}
    if parent is not None:
        ends["pretrained_model"] = parent.model
    config = config.model_copy(update={"Global": config.Global.model_copy(update=ends)})
    label = f"{origin.title}, {origin.variant}, seed {seed}"
    return Run(name, label, folder / name, config, parent, links, metrics)


def _linked(key: str, value: str, source: str) -> Settings:
    """A key's value as settings by itself."""
    path = tuple(key.split("."))
    values: Any = value
    for step in reversed(path):
        values = {step: values}
    origins: dict[KeyPath, str] = {path[:end]: source for end in range(1, len(path) + 1)}
    return Settings(source, values, origins)


def _map(settings: Settings, section: str) -> dict[str, Any]:
    """A section's map, made where it is absent; one that is no map is left for validation to report."""
    found = settings.values.setdefault(section, {})
    return found if isinstance(found, dict) else {}


def _check_data(config: Config, metrics: Sequence[str | None], source: str) -> None:
    for metric in metrics:
        part = "test" if (metric or "").startswith("test.") else "eval"
        if getattr(config.Data, part) is None:
            raise UserError(f"{source}: Data.{part} is missing, so the report lacks {metric or 'a metric'}")


def _digest(config: Config, parent: Run | None, links: Mapping[str, Run]) -> str:
    values = config.resolved()
    for key, linked in links.items():
        *path, last = key.split(".")
        functools.reduce(operator.getitem, path, values)[last] = linked.name
    values["Global"] = {key: value for key, value in values["Global"].items() if key not in _FREE}
    if parent is not None:
        values["Global"]["pretrained_model"] = parent.name
    values["inputs"] = input_digests(config)
    return digest(values)
