"""Rows of a task as questions with choices."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ppernie.data.readers.documents import read_json
from ppernie.data.readers.rows import read_rows
from ppernie.data.readers.values import index_of, label_of, texts_of
from ppernie.errors import UserError
from ppernie.zero_shot.prompts import Blank, ChoiceTask
from ppernie.zero_shot.rows import read_people_daily
from ppernie.zero_shot.templates import Filled, fill
from ppernie.zero_shot.words import words_of


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


def read_questions(task: ChoiceTask, root: str | None, limit: int | None = None, seed: int = 0) -> list[Question]:
    """The questions of a task, or ``limit`` of them from all over its files, which are often sorted by answer.

    Args:
        root: folder that the task's files lie below.
        seed: of that choice, and of the wrong choices that ``negatives`` draws for each row.

    Raises:
        UserError: a file is absent or empty, or a row does not fit the task; it names file and line.
    """
    read = read_people_daily if task.layout == "people_daily" else read_json
    return [
        _question(task, where, _columns(task, where, values), np.random.default_rng((seed, number)))
        for number, where, values in read_rows(task.files, root, limit, seed, read)
    ]


def _question(task: ChoiceTask, where: str, values: dict[str, Any], rng: np.random.Generator) -> Question:
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


def _labels(task: ChoiceTask, where: str, values: dict[str, Any]) -> tuple[list[str], int]:
    """What the choices are called, and the index of the right one."""
    answer = values[task.answer]
    if task.words is not None:
        mark = task.blank.mark if task.blank else ""
        labels = [word for word in words_of(values.get(task.words), task.words, where) if word != mark]
        if answer not in labels:
            raise UserError(
                f"{where}: {task.answer} is {answer!r}, which is no word of {task.words}; a passage that is to be cut "
                "otherwise than by jieba is given as a list of words"
            )
        return labels, labels.index(answer)
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


def _columns(task: ChoiceTask, where: str, values: dict[str, Any]) -> dict[str, Any]:
    """The row with the two sides of its gap, where it has one."""
    if task.layout == "cluewsc":
        return values | _sides_of_pronoun(where, values)
    return values if task.blank is None else values | sides(task.blank, where, values)


def sides(blank: Blank, where: str, values: dict[str, Any]) -> dict[str, str]:
    """The columns ``before`` and ``after`` the gap of a row. Raises UserError where there is not one gap."""
    text = values.get(blank.column)
    if not isinstance(text, str) or text.count(blank.mark) != 1:
        raise UserError(f"{where}: {blank.column} must be a text with {blank.mark!r} in it once")
    before, _, after = text.partition(blank.mark)
    return {"before": before, "after": after}


def _sides_of_pronoun(where: str, values: dict[str, Any]) -> dict[str, str]:
    try:
        text, target = values["text"], values["target"]
        start, pronoun, candidate = target["span2_index"], target["span2_text"], target["span1_text"]
        if text[start : start + len(pronoun)] != pronoun:
            raise UserError(f"{where}: the text has no {pronoun!r} at index {start}")
    except (KeyError, TypeError):
        raise UserError(f"{where}: a cluewsc row has text and target with span1_text, span2_text, ...") from None
    return {"before": text[:start], "after": text[start + len(pronoun) :], "pronoun": pronoun, "candidate": candidate}
