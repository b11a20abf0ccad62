"""One report of everything that is wrong with a config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ppernie.config.keys import keys_beside, known_keys, nearest_key
from ppernie.config.messages import MISSING, UNKNOWN
from ppernie.config.sections import Config
from ppernie.config.settings import KeyPath, Settings, dotted
from ppernie.errors import UserError


class Report:
    """Collects problems by key path, names where each key was set, and raises them together.

    Args:
        complaints: problems already found.
        model: of the whole config.
    """

    def __init__(self, settings: Settings, complaints: Sequence[str] = (), model: type[BaseModel] = Config) -> None:
        self.settings, self.model = settings, model
        self.known: dict[KeyPath, FieldInfo] = known_keys(model)
        self._lines = list(complaints)
        self._faulty: set[KeyPath] = set()

    def add(self, path: KeyPath, problem: str) -> None:
        """Note a problem with the key at ``path``."""
        self.known |= keys_beside(self.model, path)
        if problem == UNKNOWN:
            near = nearest_key(path, self.known)
            problem += f"; did you mean {near}?" if near else ""
        elif problem == MISSING and path in self.known:
            problem += f" ({self.known[path].description})" if self.known[path].description else ""
        origin = self.settings.origin(path)
        place = f"{dotted(path)} ({origin})" if origin else dotted(path)
        self._lines.append(f"{place}: {problem}")
        self._faulty.add(path)

    def sound(self, values: dict[str, Any], path: KeyPath) -> Any:
        """The value at ``path`` or else its default; None where it, or a map around it, has a problem."""
        if self.is_faulty(path):
            return None
        found: Any = values
        for step in path:
            if not isinstance(found, dict) or step not in found:
                default = self.known[path].get_default(call_default_factory=True) if path in self.known else None
                return None if default is PydanticUndefined else default
            found = found[step]
        return found

    def is_faulty(self, path: KeyPath) -> bool:
        """Whether the key at ``path``, or a map around it, has a problem."""
        return any(path[: len(fault)] == fault for fault in self._faulty)

    def raise_problems(self) -> None:
        """Raise UserError with all that was noted, if anything was."""
        if self._lines:
            count = len(self._lines)
            title = f"{self.settings.source}: {count} problem{'s' if count > 1 else ''}"
            raise UserError("\n  ".join([title, *self._lines]))
