"""Templates of prompts, and how a row and a label are put in."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator

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
