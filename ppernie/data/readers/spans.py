"""Answers of span extraction: one shape from three, each located in its context."""

from typing import Any

from ppernie.data.readers.fields import Notes
from ppernie.errors import UserError

Answer = dict[str, Any]


class Answers:
    """Brings answers to [{text, start}] and counts in `notes` those whose start had to be mended.

    Accepted are [{text, start | answer_start}] (SQuAD), {text: [...], answer_start: [...]} (Hugging Face) and
    a list of texts beside a list of starts (PaddleNLP).
    """

    def __init__(self, *, keep_unlocated: bool, notes: Notes) -> None:
        self._keep_unlocated = keep_unlocated
        self._notes = notes

    def __call__(self, answers: Any, starts: Any, context: str, where: str) -> list[Answer]:
        return [self._locate(text, start, context, where) for text, start in _pairs(answers, starts, where)]

    def _locate(self, text: str, start: int, context: str, where: str) -> Answer:
        if start >= 0 and context.startswith(text, start):
            return {"text": text, "start": start}
        nearest = _nearest(text, start, context)
        if nearest is not None:
            self._notes.add("answers moved to the nearest place where the context has them", where)
            return {"text": text, "start": nearest}
        if self._keep_unlocated:
            self._notes.add("answers that their context does not have (start -1)", where)
            return {"text": text, "start": -1}
        raise UserError(f"{where}: the context does not have the answer {text!r:.80}")


def _pairs(answers: Any, starts: Any, where: str) -> list[tuple[str, int]]:
    try:
        if isinstance(answers, dict):
            texts, starts = answers["text"], answers["answer_start"]
        elif starts is None:
            texts = [answer["text"] for answer in answers]
            starts = [answer["start"] if "start" in answer else answer["answer_start"] for answer in answers]
        else:
            texts = answers
        pairs = list(zip(texts, starts, strict=True))
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{where}: answers must be a list of {{text, answer_start}}") from None
    for text, start in pairs:
        if not isinstance(text, str) or not text or type(start) is not int:
            raise UserError(f"{where}: an answer is a text and an integer start, not {text!r:.40}, {start!r}")
    return pairs


def _nearest(text: str, start: int, context: str) -> int | None:
    """The occurrence of `text` nearest to `start`, the earlier one of two as near."""
    before = context.rfind(text, 0, max(start, 0) + len(text))
    after = context.find(text, max(start, 0))
    found = [place for place in (before, after) if place >= 0]
    return min(found, key=lambda place: (abs(place - start), place), default=None)
