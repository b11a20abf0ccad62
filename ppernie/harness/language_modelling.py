"""Language modelling: every token of a document is predicted once, in windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ppernie.errors import UserError
from ppernie.harness.outcome import PERPLEXITY, Outcome
from ppernie.harness.rows import Question
from ppernie.harness.scorer import Blank, Context, Scorer
from ppernie.harness.tasks import LanguageModellingTask


class Window(NamedTuple):
    """Tokens ``start`` to before ``end`` of a document, of which those from ``scored`` on are scored."""

    start: int
    scored: int
    end: int


def windows(length: int, room: int, scored: int) -> list[Window]:
    """Windows that score each of ``length`` tokens once, as GLM-130B's evaluation has them.

    The first scores all of its ``room`` tokens; each later one scores the next ``scored``, behind as many of those
    before as there is room for.
    """
    first = Window(0, 0, min(room, length))
    return [first, *(Window(s + scored - room, s, min(s + scored, length)) for s in range(room, length, scored))]


def model_language(task: LanguageModellingTask, documents: Sequence[Question], scorer: Scorer) -> Outcome:
    """The ``perplexity`` of a word between white space, ``bits_per_byte`` of UTF-8, and ``bits_per_token``.

    Raises:
        UserError: a document has no word or no token, or a window scores more than fits it.
    """
    room = scorer.room([]) - 1
    if task.scored >= room:
        raise UserError(f"scored: {task.scored} tokens of a window that has room for {room} leave none before them")
    mask = scorer.context("", "gmask", "")
    blanks: list[Blank] = []
    skipped: list[int] = []
    places = [0]
    for document in documents:
        ids = scorer.answer(document.text)
        if not ids or not document.text.split():
            raise UserError(f"{document.where}: the document {document.text!r:.40} holds no text; leave it out")
        for start, scored, end in windows(len(ids), room, task.scored):
            before = [] if task.unidirectional else ids[start:scored]
            blanks.append(Blank(Context([*before, *mask.ids], len(before)), [ids[start + len(before) : end]]))
            skipped.append(scored - start - len(before))
        places.append(len(blanks))
    losses = [
        -float(found[skip:].sum()) for (found,), skip in zip(scorer.log_likelihoods(blanks), skipped, strict=True)
    ]
    scored_tokens = [len(blank.answers[0]) - skip for blank, skip in zip(blanks, skipped, strict=True)]
    rows = []
    for document, start, end in zip(documents, places[:-1], places[1:], strict=True):
        loss = sum(losses[start:end])
        rows.append(
            {
                PERPLEXITY: (loss, float(len(document.text.split()))),
                "bits_per_byte": (loss / math.log(2), float(len(document.text.encode("utf-8", "replace")))),
                "bits_per_token": (loss / math.log(2), float(sum(scored_tokens[start:end]))),
            }
        )
    return Outcome(rows, 0)
