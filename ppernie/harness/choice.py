"""Multiple choice: all options of a question are scored in one go."""

from __future__ import annotations

from collections.abc import Sequence

from ppernie.errors import UserError
from ppernie.harness.outcome import Outcome
from ppernie.harness.rows import Question
from ppernie.harness.scorer import Blank, Scorer, fitted
from ppernie.harness.tasks import ChoiceTask


def choose(task: ChoiceTask, questions: Sequence[Question], scorer: Scorer) -> Outcome:
    """``accuracy``, and the ``chance`` to be right by guessing.

    The answer is the option whose tokens' log-probabilities have the highest sum, of equal ones the first; no length
    divides them (GLM-130B's evaluation). A prompt that is too long loses its beginning.

    Raises:
        UserError: an option has no token, or the options do not fit the window.
    """
    blanks, truncated = [], 0
    for question in questions:
        answers = [scorer.answer(choice) for choice in question.choices]
        if not all(answers):
            option = question.choices[answers.index([])]
            raise UserError(
                f"{question.where}: the option {option!r} has no token in this vocabulary; name it otherwise"
            )
        room = scorer.room([len(answer) for answer in answers])
        context, cut = fitted(scorer.context(question.text, task.mask, question.where), room, question.where)
        blanks.append(Blank(context, answers))
        truncated += cut
    rows = []
    for question, found in zip(questions, scorer.log_likelihoods(blanks), strict=True):
        scores = [float(part.sum()) for part in found]
        right = [choice in question.targets for choice in question.choices]
        answered = right[max(range(len(scores)), key=scores.__getitem__)]
        rows.append({"accuracy": (float(answered), 1.0), "chance": (sum(right) / len(right), 1.0)})
    return Outcome(rows, truncated)
