"""From the scores of choices to answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from ppernie.zero_shot.questions import Question


def answers(questions: Sequence[Question], scores: Sequence[np.ndarray]) -> list[int]:
    """The choice with the highest score, of equal ones the first; a group shares its choices out.

    Of a group every choice is taken at most once, so that the sum of the scores is highest (the Hungarian method).
    """
    chosen = [int(values.argmax()) for values in scores]
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, question in enumerate(questions):
        if question.group is not None:
            groups.setdefault(question.group, []).append(number)
    for labels, members in groups.items():
        orders = [[[c.label for c in questions[n].choices].index(label) for label in labels] for n in members]
        table = np.stack([scores[n][order] for n, order in zip(members, orders, strict=True)])
        for row, column in zip(*linear_sum_assignment(table, maximize=True), strict=True):
            chosen[members[row]] = orders[row][column]
    return chosen


def accuracy(questions: Sequence[Question], scores: Sequence[np.ndarray]) -> float:
    """Share of the questions that are answered right."""
    right = [question.right for question in questions]
    return float(np.mean(np.asarray(answers(questions, scores)) == right))


def chance(questions: Sequence[Question]) -> float:
    """Accuracy to be expected of guessing."""
    return float(np.mean([1 / len(question.choices) for question in questions]))
