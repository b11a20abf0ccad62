"""Checks of single values; each error names the place, the field and what was found."""

from math import isfinite
from sys import intern
from typing import Any

from ppernie.errors import UserError


def text_of(value: Any, field: str, where: str) -> str:
    """A text, which may be empty."""
    if not isinstance(value, str):
        raise UserError(
            f"{where}: {field} must be a text, not {_shown(value)}; a template, as in fields: {{{field}:"
            f' "{{column}}"}}, writes numbers and lists as text'
        )
    return value


def texts_of(value: Any, field: str, where: str) -> list[str]:
    """A list of at least one string."""
    if not isinstance(value, (list, tuple)) or set(map(type, value)) != {str}:
        raise UserError(f"{where}: {field} must be a list of texts, not {_shown(value)}")
    return list(value)


def label_of(value: Any, where: str) -> str:
    """A class name; integers and booleans become "7" and "true"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (str, int)):
        raise UserError(f"{where}: label must be a text or an integer, not {_shown(value)}")
    label = str(value).strip()
    if not label:
        raise UserError(f"{where}: label is empty")
    return intern(label)


def number_of(value: Any, where: str) -> float:
    """A finite number, given as a number or written out."""
    try:
        if isinstance(value, bool) or not isfinite(number := float(value)):
            raise ValueError
    except (TypeError, ValueError):
        raise UserError(f"{where}: label must be a finite number, not {_shown(value)}") from None
    return number


def index_of(value: Any, size: int, where: str) -> int:
    """An index below `size`, given as an integer or written out."""
    try:
        index = int(value) if isinstance(value, str) else value
    except ValueError:
        index = None
    if type(index) is not int or not 0 <= index < size:
        raise UserError(f"{where}: label must be an index from 0 to {size - 1}, not {_shown(value)}")
    return index


def _shown(value: Any) -> str:
    return f"{value!r:.60} ({type(value).__name__})"
