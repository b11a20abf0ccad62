"""An experiment file as typed objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from ppernie.config import Section

Seed = Annotated[int, Field(ge=0)]
Pieces = Annotated[dict[str, Any], Field(description="Sections laid over the config, deep for maps")]
_PER_TASK = "; of a stage with the same tasks, each takes its own"


class Case(Section):
    """One of the training runs that a stage fans out into."""

    config: str = Field(min_length=1, description="Config file, as after ppernie train -c")
    override: Pieces = {}
    metric: str | None = Field(default=None, description="Metric to report; null takes the stage's")


class Stage(Section):
    """A training run of the chain, or several side by side (``each``)."""

    config: str | None = Field(default=None, description="Config file, as after ppernie train -c")
    each: dict[str, Case] = Field(default={}, description="Several runs in place of config, by the name of their task")
    override: Pieces = {}
    pretrained: str | None = Field(
        default=None, description=f"Earlier stage whose best model the runs start from{_PER_TASK}"
    )
    links: dict[str, str] = Field(
        default={},
        description="Keys of the config that are an earlier stage's best model, such as Slim.distillation.teacher"
        + _PER_TASK,
    )
    seeds: list[Seed] | None = Field(
        default=None, min_length=1, description="Seeds of its own; null takes the experiment's"
    )
    metric: str | None = Field(
        default=None, description="Metric to report, or test.METRIC; null takes the one that picks the best model"
    )

    @property
    def cases(self) -> Mapping[str | None, Case]:
        """Its runs by task; one without a name where the stage does not fan out."""
        alone: dict[str | None, Case] = {} if self.config is None else {None: Case(config=self.config)}
        return alone | self.each


class Change(Section):
    """What a variant does otherwise in a stage."""

    override: Pieces = {}
    pretrained: str | None = Field(
        default=None, description="Stage to start from in place of the stage's own; null, where given, is none"
    )
    links: dict[str, str] | None = Field(default=None, description="Links in place of the stage's own; null keeps them")


class Measure(Section):
    """A number that a run ends with, or an average of several runs' numbers."""

    stage: str = Field(description="Stage that it is read from")
    task: str | None = Field(default=None, description="One of the stage's tasks; null averages over all of them")
    metric: str | None = Field(default=None, description="Metric, or test.METRIC; null takes the stage's")
    better: Literal["higher", "lower"] = Field(description="Which values are better")
    perplexity: bool = Field(default=False, description="Tell exp of the metric, which is a mean loss a token")


class Curve(Measure):
    """A metric over the evaluations of a run."""

    x: Literal["steps", "seconds", "tokens"] = Field(
        default="steps", description="Updates, seconds of training, or tokens without padding"
    )
    time_to: Literal["best", "final"] | None = Field(
        default=None, description="Tell when each variant reaches this value of the baseline, at equal seeds"
    )


class Report(Section):
    """What is told of the runs."""

    baseline: str = Field(description="Variant that the others are compared with")
    compare: list[tuple[str, str]] = Field(
        default=[], description="Other pairs of variants whose columns are compared, the first with the second"
    )
    columns: dict[str, Measure] = Field(min_length=1, description="Columns of the table by title")
    curves: dict[str, Curve] = Field(default={}, description="Plots over the course of training by name")

    @property
    def measures(self) -> list[Measure]:
        """All that is read from runs."""
        return [*self.columns.values(), *self.curves.values()]


class Experiment(Section):
    """A question, the runs that answer it, and what to tell of them."""

    name: str = Field(description="Name of the experiment and of its folder")
    question: str = Field(min_length=1, description="What the experiment answers, in a sentence")
    seeds: list[Seed] = Field(min_length=1, description="Seeds that the whole chain is repeated with")
    stages: dict[str, Stage] = Field(min_length=1, description="Training runs by name, in order")
    variants: dict[str, dict[str, Change]] = Field(
        min_length=1, description="Conditions to compare: what each changes in which stage"
    )
    report: Report = Field(description="What is told of the runs")

    def start(self, variant: str, stage: str) -> str | None:
        """The stage that a variant's stage starts from."""
        change = self.variants[variant].get(stage)
        given = change is not None and "pretrained" in change.model_fields_set
        return change.pretrained if change is not None and given else self.stages[stage].pretrained

    def links(self, variant: str, stage: str) -> Mapping[str, str]:
        """The stages whose models are values of a variant's stage, by key."""
        change = self.variants[variant].get(stage)
        return self.stages[stage].links if change is None or change.links is None else change.links

    def needed(self, variant: str) -> list[str]:
        """The stages that the report reads of a variant, and those whose models they take, in order."""
        found = {measure.stage for measure in self.report.measures}
        for stage in reversed(self.stages):
            if stage in found:
                start = self.start(variant, stage)
                found.update(self.links(variant, stage).values(), [] if start is None else [start])
        return [stage for stage in self.stages if stage in found]

    def metric(self, measure: Measure, task: str | None) -> str | None:
        """The metric that a measure reads from a task's runs; None is the one that picks their best model."""
        stage = self.stages[measure.stage]
        return measure.metric or stage.cases[task].metric or stage.metric

    def shown(self, curve: Curve) -> str:
        """What a curve shows, for titles."""
        metric = self.metric(curve, curve.task) or "metric"
        return f"exp({metric})" if curve.perplexity else metric

    def tasks(self, measure: Measure) -> list[str | None]:
        """The tasks of the stage that a measure averages over."""
        return [measure.task] if measure.task is not None else list(self.stages[measure.stage].cases)
