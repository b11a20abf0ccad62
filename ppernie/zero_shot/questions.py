"""Rows of a task as questions with choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ppernie.data.readers.documents import read_json
from ppernie.data.readers.files import resolve
from ppernie.data.readers.values import index_of, label_of, texts_of
from ppernie.errors import UserError
from ppernie.zero_shot.prompts import Filled, PromptedTask, fill


class Choice(NamedTuple):
    """A label put into the prompts of a row; ``empty`` is the prompt without the row's text."""

    label: str
    prompt: Filled
    reverse: Filled
    empty: Filled
    pair: tuple[str, str]


class Question(NamedTuple):
    """The choices of a row, of which one is right; questions of one ``group`` have the same, and share them out."""

    where: str
    choices: tuple[Choice, ...]
    right: int
    group: tuple[str, ...] | None


def read_questions(task: PromptedTask, root: str | None, limit: int | None = None, seed: int = 0) -> list[Question]:
    """The questions of a task, or ``limit`` of them from all over its files, which are often sorted by answer.

    Args:
        root: folder that the task's files lie below.
        seed: of that choice, and of the wrong choices that ``negatives`` draws for each row.

    Raises:
        UserError: a file is absent or empty, or a row does not fit the task; it names file and line.
    """
    rows = [row for path in resolve(task.files, root) for row in read_json(path)]
    numbers: Sequence[int] = range(len(rows))
    if limit is not None:
        numbers = sorted(np.random.default_rng(seed).permutation(len(rows))[:limit].tolist())
    return [_question(task, rows[n][0], _columns(task, *rows[n]), np.random.default_rng((seed, n))) for n in numbers]


def _question(task: PromptedTask, where: str, values: dict[str, Any], rng: np.random.Generator) -> Question:
    if task.answer not in values:
        raise UserError(f"{where}: no column {task.answer!r}; the columns are: {', '.join(values)}")
    labels, right = _labels(task, where, values)
    if task.negatives is not None:
        wrong = rng.permutation([n for n in range(len(labels)) if n != right])[: task.negatives]
        kept = sorted([right, *wrong.tolist()])
        labels, right = [labels[n] for n in kept], kept.index(right)
    nothing = dict.fromkeys(values, "")

    def choice(label: str) -> Choice:
        return Choice(
            label,
            fill(task.prompt, values, where, label),
            fill(task.reverse, values, where, label),
            fill(task.prompt, nothing, where, label),
            (fill(task.pair[0], values, where).text, fill(task.pair[1], values, where, label).text),
        )

    group = tuple(sorted(labels)) if task.unique else None
    return Question(where, tuple(map(choice, labels)), right, group)


def _labels(task: PromptedTask, where: str, values: dict[str, Any]) -> tuple[list[str], int]:
    """What the choices are called, and the index of the right one."""
    answer = values[task.answer]
    if task.choices is None:
        assert task.candidates is not None
        labels = texts_of(values.get(task.candidates), task.candidates, where)
        if len(set(labels)) < len(labels):
            raise UserError(f"{where}: {task.candidates} holds a text twice")
        return labels, index_of(answer, len(labels), where)
    known = list(task.choices)
    label = label_of(answer, where)
    if label not in known:
        raise UserError(f"{where}: {task.answer} is {label!r}, for which choices has no words: {', '.join(known)}")
    return [fill(words, values, where).text for words in task.choices.values()], known.index(label)


def _columns(task: PromptedTask, where: str, values: dict[str, Any]) -> dict[str, Any]:
    """The row with the two sides of its gap, where it has one."""
    if task.layout == "cluewsc":
        return values | _sides_of_pronoun(where, values)
    if task.blank is None:
        return values
    text = values.get(task.blank.column)
    if not isinstance(text, str) or text.count(task.blank.mark) != 1:
        raise UserError(f"{where}: {task.blank.column} must be a text with {task.blank.mark!r} in it once")
    before, _, after = text.partition(task.blank.mark)
    return values | {"before": before, "after": after}


def _sides_of_pronoun(where: str, values: dict[str, Any]) -> dict[str, str]:
    try:
        text, target = values["text"], values["target"]
        start, pronoun, candidate = target["span2_index"], target["span2_text"], target["span1_text"]
        if text[start : start + len(pronoun)] != pronoun:
            raise UserError(f"{where}: the text has no {pronoun!r} at index {start}")
    except (KeyError, TypeError):
        raise UserError(f"{where}: a cluewsc row has text and target with span1_text, span2_text, ...") from None
    return {"before": text[:start], "after": text[start + len(pronoun) :], "pronoun": pronoun, "candidate": candidate}
