"""The results of a harness in a file, task by task, so that a run that was cut off goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ppernie.data.readers.files import resolve
from ppernie.errors import UserError
from ppernie.files import write_file
from ppernie.harness.aggregates import NORMALISED
from ppernie.harness.tasks import LanguageModellingTask, Task

FILE = "results.json"
_PERCENT = ("accuracy", "chance", "exact_match", "f1", NORMALISED)


class Results:
    """``results.json`` of a folder.

    Raises:
        UserError: the file is there and is none.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self.tasks: dict[str, dict[str, Any]] = {}
        if self._file.exists():
            try:
                self.tasks = dict(json.loads(self._file.read_text(encoding="utf-8"))["tasks"])
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{self._file}: is no file of results ({error}); remove it") from None

    def has(self, name: str, digest: str) -> bool:
        """Whether the task's results are there, and of the same model, data and settings."""
        return self.tasks.get(name, {}).get("digest") == digest

    def add(self, name: str, result: dict[str, Any]) -> None:
        """Keeps the results of a task. Raises UserError where the file cannot be written."""
        self.tasks[name] = result
        self._write({"tasks": self.tasks})

    def add_aggregates(self, aggregates: dict[str, dict[str, Any]]) -> None:
        """Keeps what was made of the tasks' results, beside these."""
        self._write({"tasks": self.tasks, "aggregates": aggregates})

    def _write(self, content: dict[str, Any]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_file(self._file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def digest_of(task: Task, root: str | None, model: Path, limit: int | None, seed: int) -> str:
    """What tells results from others: the task and the files of data and model, by their sizes and times."""
    files = [*resolve(task.files, root), *sorted(path for path in model.iterdir() if path.is_file())]
    if not isinstance(task, LanguageModellingTask) and task.templates is not None:
        files += resolve(task.templates, root)
    if not isinstance(task, LanguageModellingTask) and task.shots is not None:
        files += resolve(task.shots.files, root)
    stamps = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    settings = (task.model_dump(), stamps, limit, None if limit is None else seed)
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()


def table(tasks: dict[str, dict[str, Any]]) -> list[dict[str, object]]:
    """A row for each measure of each task: its highest, median and mean value over prompts."""
    return [
        {
            "task": name,
            "measure": measure,
            "rows": result["rows"],
            "prompts": len(result["prompts"]),
            **{key: f"{100 * value:.2f}" if measure in _PERCENT else f"{value:.4f}" for key, value in values.items()},
            "truncated": result["truncated"],
        }
        for name, result in tasks.items()
        for measure, values in result["measures"].items()
    ]
