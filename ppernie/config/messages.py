"""What pydantic reports about one model, in plain words."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ppernie.config.settings import KeyPath

UNKNOWN = "unknown key"
MISSING = "required key is missing"

# Completes "must be ..."; the names in braces come from the error's context.
_REQUIREMENTS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "string_too_short": "text of at least {min_length} characters",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
}


def plain_problems(error: ValidationError, values: Any) -> list[tuple[KeyPath, str]]:
    """One (key path, what is wrong) for each faulty key of ``values``."""
    by_path: dict[KeyPath, list[ErrorDetails]] = defaultdict(list)
    for detail in error.errors(include_url=False):
        by_path[_key_path(detail, values)].append(detail)
    return [(path, _text(details)) for path, details in by_path.items() if not _has_deeper(path, by_path)]


def _key_path(detail: ErrorDetails, values: Any) -> KeyPath:
    """The steps of ``loc`` that are keys: for a union pydantic also puts the name of each branch into it."""
    path: KeyPath = ()
    for step in detail["loc"]:
        in_map = isinstance(values, dict) and step in values
        in_list = isinstance(values, list) and isinstance(step, int) and step < len(values)
        if in_map or in_list:
            values = values[step]
            path = (*path, step)
    return (*path, detail["loc"][-1]) if detail["type"] == "missing" else path


def _has_deeper(path: KeyPath, paths: dict[KeyPath, list[ErrorDetails]]) -> bool:
    """Whether another branch of a union got further into the value: then that branch is what was meant."""
    return any(len(other) > len(path) and other[: len(path)] == path for other in paths)


def _text(details: list[ErrorDetails]) -> str:
    first = details[0]
    if first["type"] == "extra_forbidden":
        return UNKNOWN
    if first["type"] == "missing":
        return "the list is too short" if isinstance(first["loc"][-1], int) else MISSING
    if any(detail["type"] not in _REQUIREMENTS for detail in details):
        return "; ".join(detail["msg"].removeprefix("Value error, ") for detail in details)
    wanted = dict.fromkeys(_REQUIREMENTS[detail["type"]].format_map(detail.get("ctx", {})) for detail in details)
    return f"must be {' or '.join(wanted)}; got {shown(first['input'])}"


def shown(value: Any) -> str:
    """A value as the user wrote it, with its kind."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return str(value)
