"""Prompts: the files that hold them, and how a row and a choice are put in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ppernie.config.keys import known_keys
from ppernie.config.loader import read_settings
from ppernie.config.messages import plain_problems
from ppernie.config.report import Report
from ppernie.errors import UserError

LABEL = "label"


def _plain(template: str) -> str:
    for _, key, form, conversion in Formatter().parse(template):
        if key is not None and (not key.isidentifier() or form or conversion):
            raise ValueError(f"{template!r}: placeholders are written {{column}}, without a format")
    return template


def _with_label(template: str) -> str:
    if [key for _, key, _, _ in Formatter().parse(template)].count(LABEL) != 1:
        raise ValueError(f"{template!r} must hold {{{LABEL}}} once")
    return template


Template = Annotated[str, AfterValidator(_plain)]
Prompt = Annotated[Template, AfterValidator(_with_label)]


class Blank(BaseModel):
    """A gap in a text, whose two sides are the columns ``before`` and ``after``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str = Field(description="the text")
    mark: str = Field(min_length=1, description="what stands in the gap; once in every text")


class PromptedTask(BaseModel):
    """One task.

    The columns of a row fill the templates; ``{label}`` is what a choice is called. Of ``cluewsc`` the columns are
    ``before`` and ``after`` the pronoun, ``pronoun`` and ``candidate``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: str | list[str] = Field(description="JSON files or patterns, below the data folder")
    layout: Literal["rows", "cluewsc"] = Field(default="rows", description="cluewsc: rows of a Winograd schema")
    answer: str = Field(description="column of the right choice")
    choices: dict[str, Template] | None = Field(
        default=None, min_length=2, description="what each value of that column is called; may name columns"
    )
    candidates: str | None = Field(default=None, description="column of a list, of which the answer is an index")
    blank: Blank | None = None
    negatives: int | None = Field(default=None, ge=1, description="wrong choices that a row has, drawn at random")
    unique: bool = Field(default=False, description="rows with the same candidates share them out, each at most once")
    prompt: Prompt = Field(description="text before the label: gives P(x,y), P(y|x) and P(y)")
    reverse: Prompt = Field(description="label before the text: gives P(x|y)")
    pair: tuple[Template, Prompt] = Field(description="two sentences for the distance head: gives P(True|x,y)")


class PromptFile(BaseModel):
    """Tasks by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: dict[str, PromptedTask] = Field(min_length=1)


def read_prompts(path: str | Path) -> dict[str, PromptedTask]:
    """The tasks of a YAML file. Raises UserError with all that is wrong with it."""
    settings = read_settings(path)
    report = Report(settings, ())
    report.known = known_keys(PromptFile)
    try:
        tasks = PromptFile.model_validate_json(json.dumps(settings.values), strict=True).tasks
    except ValidationError as error:
        for place, problem in plain_problems(error, settings.values):
            report.add(place, problem)
        report.raise_problems()
        raise
    for name, task in tasks.items():
        if (task.choices is None) == (task.candidates is None):
            report.add(("tasks", name), "must name either choices or candidates, and not both")
        if task.unique and task.candidates is None:
            report.add(("tasks", name, "unique"), "goes with candidates, which rows can share")
        if task.negatives is not None and len(task.choices or ()) <= task.negatives:
            report.add(("tasks", name, "negatives"), f"needs more than {task.negatives} choices to draw from")
        if task.layout == "cluewsc" and task.blank is not None:
            report.add(("tasks", name, "blank"), "goes with rows; in cluewsc the pronoun is the gap")
    report.raise_problems()
    return tasks


class Filled(NamedTuple):
    """A text, in which the label is ``text[start:end]``."""

    text: str
    start: int
    end: int


def fill(template: str, values: Mapping[str, Any], where: str, label: str = "") -> Filled:
    """Puts a row's values, and the label where the template has one. Raises UserError for a column it lacks."""
    text, start, end = "", 0, 0
    for literal, key, _, _ in Formatter().parse(template):
        text += literal
        if key == LABEL:
            start, end = len(text), len(text) + len(label)
            text += label
        elif key is not None:
            text += _text(values, key, where)
    return Filled(text, start, end)


def _text(values: Mapping[str, Any], key: str, where: str) -> str:
    if key not in values:
        raise UserError(f"{where}: no column {key!r} for the prompt; the columns are: {', '.join(values)}")
    value = values[key]
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "、".join(value)
    if not isinstance(value, str):
        raise UserError(f"{where}: {key} must be a text or a list of texts, not {value!r:.60}")
    return value
