"""From a file's own columns to the canonical fields of a task."""

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from operator import itemgetter
from string import Formatter
from typing import Any

from ppernie.data.readers.values import text_of
from ppernie.errors import UserError

#: Joins a list that a template puts into a text, such as keywords.
LIST_SEPARATOR = "; "

Values = dict[str, Any]


class Notes:
    """Counts of what readers mend, drop or find odd, each with its first place."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[int, str]] = {}

    def add(self, note: str, where: str) -> None:
        count, first = self.found.get(note, (0, where))
        self.found[note] = (count + 1, first)


class FieldMap:
    """Picks a task's canonical fields out of raw rows.

    `mapping` gives, for a canonical name, a column or a template with `{column}` placeholders; a name it
    leaves out is looked up under itself. A list in a template is joined by `LIST_SEPARATOR`.
    """

    def __init__(
        self, task: str, names: Collection[str], mapping: Mapping[str, str], *, targets_required: bool
    ) -> None:
        for name in mapping:
            if name not in names:
                near = get_close_matches(name, names, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise UserError(f"fields.{name}: {task} has the fields {', '.join(names)}{hint}")
        self._pick = {name: _compile(name, mapping.get(name, name)) for name in names}
        self._mapped = frozenset(mapping)
        self._targets_required = targets_required
        self.notes = Notes()

    def required(self, name: str, row: Values, where: str) -> Any:
        """The value of a field; UserError if its column is missing."""
        return self._value(name, row, where, absent_ok=False)

    def optional(self, name: str, row: Values, where: str) -> Any | None:
        """The value of a field, or None if neither the mapping nor the row has it."""
        return self.required(name, row, where) if name in self._mapped else row.get(name)

    def text(self, name: str, row: Values, where: str) -> str:
        """A field that is a text; empty ones, which public data sets have, are noted."""
        text = text_of(self.required(name, row, where), name, where)
        if not text.strip():
            self.notes.add(f"examples with an empty {name}", where)
        return text

    def target(self, name: str, row: Values, where: str) -> Any | None:
        """The value of a field that unlabelled data may lack, as None, where targets are not required."""
        return self._value(name, row, where, absent_ok=not self._targets_required)

    def _value(self, name: str, row: Values, where: str, *, absent_ok: bool) -> Any:
        try:
            return self._pick[name](row)
        except KeyError as error:
            if absent_ok:
                return None
            present = ", ".join(str(column)[:40] for column in row)
            raise UserError(
                f"{where}: no column {error} for the field {name}; the columns are: {present}."
                " Set fields; if the file's first line is data, name its columns with columns: [...]"
            ) from None
        except TypeError as error:
            raise UserError(f"{where}: {error}") from None


def _compile(name: str, column: str) -> Callable[[Values], Any]:
    if "{" not in column and "}" not in column:
        return itemgetter(column)
    try:
        parts = list(Formatter().parse(column))
    except ValueError as error:
        raise UserError(f"fields.{name}: {column!r}: {error}") from None
    if any(key == "" or spec or conversion for _, key, spec, conversion in parts):
        raise UserError(f"fields.{name}: {column!r}: placeholders are written {{column}}, without a format")

    def fill(row: Values) -> str:
        return "".join(text if key is None else text + _as_text(key, row[key]) for text, key, _, _ in parts)

    return fill


def _as_text(column: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        return LIST_SEPARATOR.join(_as_text(column, item) for item in value)
    raise TypeError(f"the column {column} holds {value!r:.60}, which a template cannot write as text")
