"""The tasks of a harness file, each of one of three kinds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from ppernie.config.validation import load_as
from ppernie.decoding.options import Decoding
from ppernie.harness.layouts import LAYOUTS

Mask = Literal["mask", "gmask"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Prompt(_Section):
    """Templates in Jinja over the columns of a row, beside which ``name`` and ``folder`` are its file's (``files``)."""

    text: str = Field(description="the prompt, and behind each ||| a target that is right")
    choices: str | None = Field(
        default=None, description="the options with ||| between them, which text has as the list answer_choices"
    )


class Shots(_Section):
    """Rows with their answers in front of a prompt, rendered by the same template."""

    count: int = Field(ge=1, description="rows, the first of the file")
    files: str = Field(description="file; a * in it is what the * of the task's own files stands for")
    header: str = Field(default="", description="template of what stands before all")
    join: str = Field(default=" ", description="between a row's prompt and its first target")
    end: str = Field(default="", description="behind that target")
    between: str = Field(default="\n\n", description="between header, rows and prompt")


class _Task(_Section):
    files: str | list[str] = Field(
        description="files or patterns, below root; a row's name is what the * stands for, else its file's name; its "
        "folder is that of its file, from root on"
    )
    layout: str = Field(default="rows", description=f"of the files: {', '.join(LAYOUTS)}")
    part: str = Field(default="{{name}}", description="template of the part that a row belongs to")
    weights: dict[str, float] | None = Field(
        default=None, description="share of each part in the whole; null: by their sizes"
    )

    def problems(self) -> dict[str, str]:
        """What is wrong between keys, by key; "" for the task as a whole."""
        found = {}
        if self.layout not in LAYOUTS:
            found["layout"] = f"{self.layout!r} is unknown; there are {', '.join(LAYOUTS)}"
        if self.weights is not None and (not self.weights or min(self.weights.values()) <= 0):
            found["weights"] = "must be positive numbers by part"
        return found


class _PromptedTask(_Task):
    mask: Mask = Field(
        default="mask",
        description="what is put behind a text without a mask: mask for short targets, gmask for long ones",
    )
    prompts: dict[str, Prompt] = Field(default={}, description="prompts by name")
    templates: str | None = Field(default=None, description="file of PromptSource with more of them, below root")
    only: list[str] | None = Field(default=None, min_length=1, description="of that file, the prompts of these names")
    classes: dict[str, list[str]] = Field(
        default={}, description="columns whose values become numbers, as templates count: the values from 0 on"
    )
    shots: Shots | None = None

    def problems(self) -> dict[str, str]:
        found = super().problems()
        if not self.prompts and self.templates is None:
            found[""] = "needs prompts, or templates with a file of them"
        if self.only is not None and self.templates is None:
            found["only"] = "goes with templates"
        return found


class ChoiceTask(_PromptedTask):
    """Rows with options, of which the likeliest is the answer: the one with the highest sum of log-probabilities."""

    kind: Literal["choice"]

    def problems(self) -> dict[str, str]:
        found = super().problems()
        for name, prompt in self.prompts.items():
            if prompt.choices is None:
                found["prompts"] = f"{name} has no choices to choose from"
        return found


class GenerationTask(_PromptedTask):
    """Rows whose answer the network writes, compared with the targets: the best of them counts."""

    kind: Literal["generation"]
    decoding: Decoding = Decoding()
    max_new_tokens: int = Field(default=128, ge=1, description="longest text, as published")
    answer: Literal["text", "line", "word", "number"] = Field(
        default="text",
        description="what counts of a text: all of it, its first line, its first word without punctuation, or its last "
        "number; of targets too",
    )
    stop: list[str] = Field(default=[], description="a text ends before the first of these")
    metric: Literal["squad", "cmrc", "exact"] = Field(
        default="squad", description="SQuAD's exact match and F1 for English, CMRC 2018's for Chinese, or equal texts"
    )
    unidirectional: bool = Field(
        default=False, description="the network reads the text from left to right too: the mask stands before it"
    )
    word_follows: bool = Field(
        default=False,
        description="LAMBADA's rule: no text begins with punctuation, and of the beams the first is taken in which "
        "punctuation follows the first word, else the first of all",
    )

    def problems(self) -> dict[str, str]:
        found = super().problems()
        if self.word_follows and (self.decoding.strategy, self.decoding.beam_rule) != ("beam", "gnmt"):
            found["word_follows"] = "chooses among beams: set decoding.strategy to beam and beam_rule to gnmt"
        return found


class LanguageModellingTask(_Task):
    """Documents, of which every token is predicted once, in windows of the network's longest input."""

    kind: Literal["language_modelling"]
    text: str = Field(default="{{text}}", description="template of a document")
    scored: int = Field(ge=1, description="tokens that a window scores; of the first window of a document all")
    unidirectional: bool = Field(
        default=False, description="the tokens before these are read from left to right too, behind the mask"
    )


Task = ChoiceTask | GenerationTask | LanguageModellingTask


def _kind(values: Any) -> Any:
    return values.get("kind") if isinstance(values, dict) else None


class Aggregate(_Section):
    """One number of several tasks: the mean of their parts' scores, normalised so that guessing has 0 and 1 is best.

    Parts with the same name before a "/" are one at first, by their mean.
    """

    tasks: list[str] = Field(
        min_length=1,
        description="of kind choice, whose score is accuracy, or generation, with exact_match and chance 0",
    )


class HarnessFile(_Section):
    """Tasks by name."""

    root: str | None = Field(default=None, description="folder that relative file paths start from")
    aggregates: dict[str, Aggregate] = Field(default={}, description="by name, beside those of the tasks")
    tasks: dict[
        str,
        Annotated[
            Annotated[ChoiceTask, Tag("choice")]
            | Annotated[GenerationTask, Tag("generation")]
            | Annotated[LanguageModellingTask, Tag("language_modelling")],
            Discriminator(
                _kind,
                custom_error_type="kind",
                custom_error_message="kind must be choice, generation or language_modelling",
            ),
        ],
    ] = Field(min_length=1)


def read_harness(path: str | Path, overrides: Sequence[str] = ()) -> HarnessFile:
    """A harness file with its bases and ``-o`` overrides. Raises UserError with all that is wrong with it."""
    file, report = load_as(HarnessFile, path, overrides)
    for name, task in (file.tasks if file else {}).items():
        for key, problem in task.problems().items():
            report.add(("tasks", name, key) if key else ("tasks", name), problem)
    for name, aggregate in (file.aggregates if file else {}).items():
        assert file
        scored = [n for n, task in file.tasks.items() if not isinstance(task, LanguageModellingTask)]
        if unknown := sorted(set(aggregate.tasks) - set(scored)):
            report.add(("aggregates", name), f"{', '.join(unknown)}: there is {', '.join(scored)} with such scores")
        if name in file.tasks:
            report.add(("aggregates", name), "is a task's name too; choose another")
    report.raise_problems()
    assert file
    return file
