"""The values of a run before they are checked, and where each of them was set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KeyPath = tuple[str | int, ...]


def dotted(path: KeyPath) -> str:
    """The path as it is written after ``-o``: ``Optimizer.schedule.name``."""
    return ".".join(str(step) for step in path)


@dataclass
class Settings:
    """Plain values with, for every key path, the ``file:line`` or ``-o`` that set it last."""

    source: str
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def origin(self, path: KeyPath) -> str | None:
        """Where ``path``, or else the nearest map around it, was set."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.origins:
                return self.origins[path[:end]]
        return None

    def record(self, path: KeyPath, origins: dict[KeyPath, str]) -> None:
        """Replace what is known about ``path`` and everything below it."""
        size = len(path)
        kept = {known: origin for known, origin in self.origins.items() if known[:size] != path}
        fresh = {known: origin for known, origin in origins.items() if known[:size] == path}
        self.origins = kept | fresh

    def merge(self, later: Settings) -> None:
        """Lay ``later`` over these values: deep for maps, replacing for lists and scalars."""
        self._lay(self.values, later.values, (), later.origins)

    def _lay(self, target: dict[str, Any], source: dict[str, Any], path: KeyPath, origins: dict) -> None:
        for key, value in source.items():
            here = (*path, key)
            if isinstance(value, dict) and isinstance(target.get(key), dict):
                self.origins[here] = origins[here]
                self._lay(target[key], value, here, origins)
            else:
                target[key] = value
                self.record(here, origins)
