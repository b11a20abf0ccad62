"""Generation: what the network writes is compared with texts that are right."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence

from ppernie.harness.outcome import Outcome
from ppernie.harness.rows import Question
from ppernie.harness.scorer import Context, Scorer, fitted
from ppernie.harness.tasks import GenerationTask
from ppernie.tasks.metrics.spans import SpanScore

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def first_word(text: str) -> str:
    """The first word between white space, without punctuation at its ends."""
    return next(iter(text.split()), "").strip(string.punctuation)


def last_number(text: str) -> str:
    """The last number, without commas; nothing where there is none."""
    found = _NUMBER.findall(text)
    return found[-1].replace(",", "") if found else ""


_ANSWERS: dict[str, Callable[[str], str]] = {
    "text": str.strip,
    "line": lambda text: next(iter(text.strip().split("\n")), "").strip(),
    "word": first_word,
    "number": last_number,
}


def write(task: GenerationTask, questions: Sequence[Question], scorer: Scorer) -> Outcome:
    """``exact_match`` and ``f1``; with several targets the one that fits best counts.

    A prompt that is too long loses its beginning.

    Raises:
        UserError: the window has no room for a prompt's mask beside ``max_new_tokens``.
    """
    prompts, truncated = [], 0
    for question in questions:
        prompt, cut = _prompt(task, question, scorer)
        prompts.append(prompt)
        truncated += cut
    found = scorer.texts(prompts, task.decoding, task.max_new_tokens, no_leading_punctuation=task.word_follows)
    answer_of = _ANSWERS[task.answer]
    rows = []
    for question, beams in zip(questions, found, strict=True):
        texts = [_stopped(scorer.decode(ids), task.stop) for ids in beams]
        text = next(filter(_word_ends, texts), texts[0]) if task.word_follows else texts[0]
        metric = SpanScore(task.metric)
        metric.update([answer_of(text)], [[answer_of(target) for target in question.targets]])
        rows.append({name: (value, 1.0) for name, value in metric.compute().items()})
    return Outcome(rows, truncated)


def _prompt(task: GenerationTask, question: Question, scorer: Scorer) -> tuple[tuple[Context, list[int]], bool]:
    """A context and the beginning of what fills its mask; and whether the text was cut."""
    room = scorer.room([task.max_new_tokens])
    if not task.unidirectional:
        context, cut = fitted(scorer.context(question.text, task.mask, question.where), room, question.where)
        return (context, []), cut
    empty, _ = fitted(scorer.context("", task.mask, question.where), room, question.where)
    begun = scorer.answer(question.text)
    kept = max(room - len(empty.ids), 0)
    return (empty, begun[len(begun) - min(kept, len(begun)) :]), len(begun) > kept


def _stopped(text: str, stops: Sequence[str]) -> str:
    places = [text.find(stop) for stop in stops if stop in text]
    return text[: min(places)] if places else text


def _word_ends(text: str) -> bool:
    """Whether punctuation follows the first word, with a space between or not."""
    word = first_word(text)
    return bool(word) and text[text.find(word) + len(word) :].lstrip()[:1] in tuple(string.punctuation)
