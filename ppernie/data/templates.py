"""Templates that make a prompt and its targets of a row of data, in Jinja as PromptSource (arXiv:2202.01279) has them.

A template is foreign text: it runs in Jinja's sandbox, where it reaches the row's values and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import multimode
from typing import Any, NamedTuple

import jinja2
import numpy as np
import yaml
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from ppernie.data.readers.files import Row, read_document
from ppernie.errors import UserError

# Between prompt and targets, and between the names of classes.
SEPARATOR = "|||"
# What a template calls the names of the classes.
_CHOICES = "answer_choices"
# In place of a separator that a row's values hold: a character of private use.
_ESCAPED = "\ue000"
# What expressions over a row's values may end in.
_FAILURES = (TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError)


class Rendered(NamedTuple):
    """What a template makes of a row: a prompt, the texts that are right behind it, and the names of the classes."""

    prompt: str
    targets: tuple[str, ...]
    choices: tuple[str, ...]


class Template:
    """A prompt and its targets, over the columns of a row.

    Args:
        place: for messages.
        text: in Jinja, the targets behind the prompt, each behind a separator.
        choices: names of the classes, in Jinja with separators; the text has them as the list ``answer_choices``.
        name: among others of its file.

    Raises:
        UserError: the text is no template.
    """

    def __init__(self, place: str, text: str, choices: str | None = None, name: str = "") -> None:
        self.place, self.name = place, name
        environment = SandboxedEnvironment(undefined=StrictUndefined)
        # The same for the same rows in the same order.
        rng = np.random.default_rng(0)
        environment.filters["choice"] = lambda options: options[int(rng.integers(len(options)))]
        environment.filters["most_frequent"] = multimode
        environment.globals["zip"] = zip
        try:
            self._text = environment.from_string(text)
            self._choices = environment.from_string(choices) if choices else None
        except TemplateError as error:
            raise UserError(f"{place}: is no template ({error}); correct or remove it") from None

    def __call__(self, row: Mapping[str, Any], where: str) -> Rendered | None:
        """Prompt and targets; None where the template's conditions leave the row out.

        Raises:
            UserError: the row lacks a column, or has values that the template cannot use.
        """
        values = _escaped(dict(row))
        choices: list[str] = []
        if self._choices is not None:
            choices = values[_CHOICES] = _parts(self._rendered(self._choices, values, where))
        parts = _parts(self._rendered(self._text, values, where))
        if len(parts) < 2 or not all(parts):
            return None
        prompt, *targets = map(_unescaped, parts)
        return Rendered(prompt, tuple(targets), tuple(map(_unescaped, choices)))

    @property
    def has_choices(self) -> bool:
        """Whether it names classes."""
        return self._choices is not None

    def whole(self, row: Mapping[str, Any], where: str) -> str:
        """All of the text as it is, for templates without targets. Raises UserError as a call does."""
        return self._rendered(self._text, row, where)

    def _rendered(self, template: jinja2.Template, values: Mapping[str, Any], where: str) -> str:
        try:
            return template.render(values)
        except _FAILURES as error:
            columns = ", ".join(name for name in values if name != _CHOICES)
            raise UserError(f"{where}: {self.place} does not fit ({error}); the columns are: {columns}") from None


def read_templates(path: Path) -> list[Template]:
    """The templates of a file of PromptSource. Raises UserError where it is none."""
    try:
        found = yaml.load(read_document(path), _Loader)
        return [
            Template(
                f"the template {entry['name']!r} of {path}", entry["jinja"], entry["answer_choices"], entry["name"]
            )
            for entry in found["templates"].values()
        ]
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path}: is broken YAML ({' '.join(str(error).split())}); correct it") from None
    except (TypeError, KeyError, AttributeError):
        raise UserError(
            f"{path}: is no file of PromptSource, which has templates by identifier, each with name, jinja and "
            "answer_choices"
        ) from None


class _Loader(yaml.SafeLoader):
    """Reads PromptSource's two classes as plain mappings."""

    def construct_object_of_promptsource(self, node: yaml.MappingNode) -> dict[Any, Any]:
        return self.construct_mapping(node, deep=True)


for _tag in ("!Template", "!TemplateMetadata"):
    _Loader.add_constructor(_tag, _Loader.construct_object_of_promptsource)


def numbered(row: Row, classes: Mapping[str, Sequence[str]]) -> Row:
    """The row with the values of some columns as their numbers among the column's classes.

    Raises:
        UserError: a value is none of the classes.
    """
    where, values = row
    numbers: dict[str, Any] = {}
    for column, names in classes.items():
        if values.get(column) not in names:
            raise UserError(
                f"{where}: {column} is {values.get(column)!r}, which is none of its classes: {', '.join(names)}"
            )
        numbers[column] = names.index(values[column])
    return where, values | numbers


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(SEPARATOR)]


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(SEPARATOR, _ESCAPED)
    if isinstance(value, list):
        return [_escaped(part) for part in value]
    if isinstance(value, dict):
        return {name: _escaped(part) for name, part in value.items()}
    return value


def _unescaped(text: str) -> str:
    return text.replace(_ESCAPED, SEPARATOR)
