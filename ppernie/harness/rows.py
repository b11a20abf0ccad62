"""The rows of a task as questions of each of its prompts."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ppernie.data.readers.files import Row, resolve
from ppernie.data.readers.rows import read_rows
from ppernie.data.templates import Rendered, Template, numbered, read_templates
from ppernie.errors import UserError
from ppernie.harness.layouts import LAYOUTS
from ppernie.harness.tasks import ChoiceTask, GenerationTask, LanguageModellingTask, Task

logger = logging.getLogger("ppernie")


class Question(NamedTuple):
    """A prompt, in which a mask may be written out, the texts that are right, and the options of a choice."""

    where: str
    part: str
    text: str
    targets: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


def read_questions(task: Task, root: str | None, limit: int | None = None, seed: int = 0) -> dict[str, list[Question]]:
    """The questions of a task by prompt; documents have one prompt, ``text``.

    Args:
        root: folder that the task's files lie below.
        limit: rows of the task, drawn from all over its files by the seed; all if None.

    Raises:
        UserError: a file is absent, empty or not in its layout; a template does not fit its rows, or leaves all of them
            out; a choice has no options, or its answer is none of them.
    """
    rows = [(where, values) for _, where, values in read_rows(task.files, root, limit, seed, _reader(task, root))]
    part = Template("part", task.part)
    if isinstance(task, LanguageModellingTask):
        text = Template("text", task.text)
        return {"text": [Question(where, part.whole(row, where), text.whole(row, where)) for where, row in rows]}
    rows = [numbered(row, task.classes) for row in rows]
    shots = _Shots(task, root)
    found: dict[str, list[Question]] = {}
    for name, template in _templates(task, root).items():
        found[name] = [
            Question(where, part.whole(row, where), shots.before(template, row, where) + prompt, targets, choices)
            for where, row in rows
            for prompt, targets, choices in filter(None, [template(row, where)])
        ]
        if not found[name]:
            raise UserError(f"{template.place} leaves out all of {len(rows)} rows; choose others with only")
        if len(found[name]) < len(rows):
            logger.warning("%s leaves %d rows out", template.place, len(rows) - len(found[name]))
        if isinstance(task, ChoiceTask):
            for question in found[name]:
                _check_options(question)
    return found


def _templates(task: ChoiceTask | GenerationTask, root: str | None) -> dict[str, Template]:
    found = {name: Template(f"the prompt {name!r}", p.text, p.choices) for name, p in task.prompts.items()}
    if task.templates is None:
        return found
    published = {t.name: t for path in resolve(task.templates, root) for t in read_templates(path)}
    if unknown := [name for name in task.only or () if name not in published]:
        raise UserError(f"only: {', '.join(unknown)}: {task.templates} has {', '.join(published)}")
    chosen = task.only or [n for n, t in published.items() if t.has_choices or isinstance(task, GenerationTask)]
    return found | {name: published[name] for name in chosen}


def _check_options(question: Question) -> None:
    options = [option for option in question.choices if option]
    if len(options) < len(question.choices) or len(options) < 2:
        raise UserError(
            f"{question.where}: {len(options)} options of {len(question.choices)}; a choice needs two or more"
        )
    if not set(question.targets) <= set(options):
        raise UserError(
            f"{question.where}: the answer {' / '.join(question.targets)!r:.80} is none of the options: "
            f"{', '.join(options):.200}"
        )


def _reader(task: Task, root: str | None) -> Callable[[Path], Iterator[Row]]:
    """The rows of a file in the task's layout, with its name as a column."""

    def read(path: Path) -> Iterator[Row]:
        rows = list(LAYOUTS[task.layout](path))
        if not rows:
            raise UserError(f"{path}: holds no row; restore it or leave it out")
        folder = Path(os.path.relpath(path.parent, Path(root or ".").expanduser())).as_posix()
        place = {"name": _star(path, task.files, root), "folder": folder}
        for where, values in rows:
            yield where, values | {column: value for column, value in place.items() if column not in values}

    return read


def _star(path: Path, files: str | Sequence[str], root: str | None) -> str:
    """What the * of a pattern stands for in a path, all between them where there are several; else the file's name."""
    for pattern in [files] if isinstance(files, str) else files:
        whole = (Path(root or "").expanduser() / Path(pattern).expanduser()).as_posix()
        before, behind = whole.partition("*")[0], whole.rpartition("*")[2]
        if "*" in whole and path.as_posix().startswith(before) and path.as_posix().endswith(behind):
            return path.as_posix()[len(before) : len(path.as_posix()) - len(behind)]
    return path.stem


class _Shots:
    """What stands before the prompts of rows: others with their answers."""

    def __init__(self, task: ChoiceTask | GenerationTask, root: str | None) -> None:
        self._task, self._root, self._shots = task, root, task.shots
        self._header = Template("shots.header", task.shots.header if task.shots else "")
        self._rows: dict[str, list[Row]] = {}
        self._made: dict[tuple[str, str], list[tuple[Row, Rendered]]] = {}

    def before(self, template: Template, row: dict[str, Any], where: str) -> str:
        """Raises UserError where the file has too few rows beside the one that is asked."""
        shots = self._shots
        if shots is None:
            return ""
        asked = _content(row)
        made = [m for (_, v), m in self._rendered(template, row["name"]) if _content(v) != asked][: shots.count]
        if len(made) < shots.count:
            raise UserError(f"{where}: {shots.files} has {len(made)} rows to show for {row['name']}, not {shots.count}")
        texts = [f"{m.prompt}{shots.join}{m.targets[0]}{shots.end}" for m in made]
        return "".join(text + shots.between for text in [self._header.whole(row, where), *texts] if text)

    def _rendered(self, template: Template, name: str) -> list[tuple[Row, Rendered]]:
        if (template.place, name) not in self._made:
            made = [(row, template(row[1], row[0])) for row in self._read(name)]
            self._made[template.place, name] = [(row, m) for row, m in made if m is not None]
        return self._made[template.place, name]

    def _read(self, name: str) -> list[Row]:
        assert self._shots
        if name not in self._rows:
            paths = resolve(self._shots.files.replace("*", name), self._root)
            rows = [row for path in paths for row in _reader(self._task, self._root)(path)]
            named = [(where, values | {"name": name}) for where, values in rows]
            self._rows[name] = [numbered(row, self._task.classes) for row in named]
        return self._rows[name]


def _content(row: dict[str, Any]) -> dict[str, Any]:
    """A row without where it comes from."""
    return {name: value for name, value in row.items() if name != "folder"}
