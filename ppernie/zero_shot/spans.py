"""Answers that a network writes as a stretch of the context (extractive reading comprehension)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ppernie.data.readers.fields import Notes
from ppernie.data.readers.rows import read_rows
from ppernie.data.readers.spans import Answers
from ppernie.data.readers.values import text_of
from ppernie.data.tokenizers import Tokenizer
from ppernie.errors import UserError
from ppernie.tasks.metrics.spans import SpanScore
from ppernie.zero_shot.prompts import SpanTask
from ppernie.zero_shot.scores import Scorer
from ppernie.zero_shot.templates import Filled, fill


class SpanQuestion(NamedTuple):
    """A prompt up to its label and behind it, the context, and the texts that are right."""

    where: str
    prompt: Filled
    context: str
    answers: tuple[str, ...]


def read_span_questions(
    task: SpanTask, root: str | None, limit: int | None = None, seed: int = 0
) -> list[SpanQuestion]:
    """The questions of a task, or ``limit`` of them, drawn by the seed.

    Raises:
        UserError: a file is absent, or a row has no context or no answer, or does not fit the prompt.
    """
    return [_question(task, where, values) for _, where, values in read_rows(task.files, root, limit, seed)]


def _question(task: SpanTask, where: str, values: dict[str, Any]) -> SpanQuestion:
    context = text_of(values.get("context"), "context", where)
    if not context.strip():
        raise UserError(f"{where}: the context is empty")
    located = Answers(keep_unlocated=True, notes=Notes())(values.get("answers"), None, context, where)
    answers = tuple(answer["text"] for answer in located)
    if not answers:
        raise UserError(f"{where}: has no answer; a stretch of the context is always written, so leave such rows out")
    return SpanQuestion(where, fill(task.prompt, values, where), context, answers)


def answer(question: SpanQuestion, scorer: Scorer, tokenizer: Tokenizer, beams: int, longest: int) -> str:
    """The stretch of the context that a beam search finds likeliest behind the prompt, by its mean log-probability.

    It ends where the network writes the token that follows the label in the prompt, [SEP] where none does; so the
    answer holds no such token. ``longest`` is in tokens; a longer one is cut there.

    Raises:
        UserError: the context has no token but that one.
    """
    end_id = tokenizer.encode(question.prompt.text[question.prompt.end :]).ids[1]
    encoding = tokenizer.encode(question.context)
    ids, offsets = encoding.ids[1:-1], encoding.offsets[1:-1]
    if not set(ids) - {end_id}:
        raise UserError(f"{question.where}: the context {question.context!r:.40} has no token for an answer")
    before = tokenizer.encode(question.prompt.text[: question.prompt.start]).ids[:-1]
    found = scorer.span(before, ids, beams=beams, end_id=end_id, max_new_tokens=longest)
    start = next(n for n in range(len(ids)) if ids[n : n + len(found)] == found)
    return question.context[offsets[start][0] : offsets[start + len(found) - 1][1]]


def answer_length(questions: Sequence[SpanQuestion], tokenizer: Tokenizer) -> int:
    """The 95th percentile of the answers' lengths in tokens, rounded up."""
    lengths = [len(tokenizer.encode(text).ids) - 2 for question in questions for text in question.answers]
    return max(math.ceil(np.percentile(lengths, 95)), 1)


def span_scores(
    task: SpanTask, questions: Sequence[SpanQuestion], scorer: Scorer, tokenizer: Tokenizer
) -> dict[str, float]:
    """Exact match and F1 of the answers."""
    longest = task.max_answer_length or answer_length(questions, tokenizer)
    metric = SpanScore(task.style)
    metric.update(
        [answer(question, scorer, tokenizer, task.beams, longest) for question in questions],
        [question.answers for question in questions],
    )
    return metric.compute()
