"""Where the steps of a recipe write, and what is there already."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppernie.errors import UserError
from ppernie.files import write_file


@dataclass(frozen=True)
class Place:
    """A step's folder; beside it ``NAME.json`` says what it was made of and how good it is.

    Attributes:
        folder: what the step writes.
        key: differs where anything differs that the step depends on.
    """

    folder: Path
    key: str

    def claim(self) -> None:
        """Makes way for the step: what was made of something else is removed, and so is what a kill left half made.

        ``runs`` of a step that was cut short stay.
        """
        told = self._told()
        if told.get("key") != self.key:
            for path in self.folder.parent.glob(f"{self.folder.name}*"):
                _remove(path)
            self.record()
        elif not told.get("made"):
            _remove(self.folder)

    @property
    def runs(self) -> Path:
        """Where the step puts what it needs on the way, such as a training run; a step that goes on finds it there."""
        return self.folder.with_name(f"{self.folder.name}.runs")

    @property
    def made(self) -> bool:
        """Whether the step has ended here."""
        return bool(self._told().get("made"))

    @property
    def scores(self) -> Any:
        """What was recorded as such; None where nothing was."""
        return self._told().get("scores")

    def record(self, **what: Any) -> None:
        """Adds to what is said of the folder."""
        told = {**self._told(), "key": self.key, **what}
        write_file(self._file, json.dumps(told, indent=2) + "\n")

    @property
    def _file(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.json")

    def _told(self) -> dict[str, Any]:
        if not self._file.exists():
            return {}
        try:
            return json.loads(self._file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(
                f"{self._file}: broken JSON ({error}); remove {self._file.parent} and start again"
            ) from error


def forget_others(folder: Path, kept: Collection[str]) -> None:
    """Removes what steps have left in a folder that are not of these names any more."""
    for path in folder.iterdir():
        if path.name.partition(".")[0] not in kept:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
