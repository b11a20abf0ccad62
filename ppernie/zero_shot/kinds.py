"""How the tasks of each kind are read and evaluated."""

from __future__ import annotations

from typing import Any

from ppernie.data.tokenizers import Tokenizer
from ppernie.zero_shot.answers import accuracy, chance
from ppernie.zero_shot.passages import passage_scores, read_passages
from ppernie.zero_shot.prompts import ChoiceTask, PassageTask, PerplexityTask, Task
from ppernie.zero_shot.questions import read_questions
from ppernie.zero_shot.scores import Scorer, score
from ppernie.zero_shot.spans import read_span_questions, span_scores
from ppernie.zero_shot.texts import perplexity, read_texts

# The other results are shares.
PLAIN = ("perplexity", "bits_per_char")


def read(task: Task, root: str | None, limit: int | None, seed: int) -> list[Any]:
    """The rows of a task, or ``limit`` of them, drawn by the seed. Raises UserError for what is wrong with them."""
    if isinstance(task, ChoiceTask):
        return read_questions(task, root, limit, seed)
    if isinstance(task, PassageTask):
        return read_passages(task, root, limit, seed)
    if isinstance(task, PerplexityTask):
        return read_texts(task, root, limit, seed)
    return read_span_questions(task, root, limit, seed)


def evaluate(task: Task, rows: list[Any], scorer: Scorer, tokenizer: Tokenizer) -> dict[str, float]:
    """The results by name: shares of what is right, and those of ``PLAIN``."""
    if isinstance(task, ChoiceTask):
        scores = score(rows, scorer, tokenizer)
        return {"chance": chance(rows), **{name: accuracy(rows, found) for name, found in scores.items()}}
    if isinstance(task, PassageTask):
        return passage_scores(rows, scorer, tokenizer, task.beams)
    if isinstance(task, PerplexityTask):
        return perplexity(rows, scorer, tokenizer)
    return span_scores(task, rows, scorer, tokenizer)
