"""Passages with several blanks, filled from one list of choices, each of which is used at most once (CMRC 2019)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from ppernie.data.readers.rows import read_rows
from ppernie.data.readers.values import index_of, text_of, texts_of
from ppernie.data.tokenizers import Tokenizer
from ppernie.errors import UserError
from ppernie.zero_shot.prompts import PassageTask
from ppernie.zero_shot.rows import read_cmrc2019
from ppernie.zero_shot.scores import Scorer

_BLANK = re.compile(r"\[BLANK(\d+)\]")


class Passage(NamedTuple):
    """A passage.

    Attributes:
        pieces: the texts around its n blanks, n + 1.
        candidates: for each blank the numbers of the choices that are tried, the right one among them.
        right: for each blank the number of the right choice.
    """

    where: str
    pieces: tuple[str, ...]
    choices: tuple[str, ...]
    candidates: tuple[tuple[int, ...], ...]
    right: tuple[int, ...]

    def filled(self, chosen: Sequence[int]) -> str:
        """The passage up to the first blank that nothing is ``chosen`` for."""
        words = (self.choices[number] for number in chosen)
        return self.pieces[0] + "".join(word + piece for word, piece in zip(words, self.pieces[1:], strict=False))


def read_passages(task: PassageTask, root: str | None, limit: int | None = None, seed: int = 0) -> list[Passage]:
    """The passages of a task, or ``limit`` of them.

    Args:
        root: folder that the task's files lie below.
        seed: of that choice, and of the wrong choices that ``negatives`` draws for each blank.

    Raises:
        UserError: a file is absent, or a passage, its choices and its answers do not fit each other.
    """
    return [
        _passage(task, where, values, np.random.default_rng((seed, number)))
        for number, where, values in read_rows(task.files, root, limit, seed, read_cmrc2019)
    ]


def _passage(task: PassageTask, where: str, values: dict[str, Any], rng: np.random.Generator) -> Passage:
    pieces = _BLANK.split(text_of(values.get("context"), "context", where))
    numbers = [int(number) for number in pieces[1::2]]
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        raise UserError(f"{where}: context must have the blanks [BLANK1], [BLANK2] and so on, in order; has {numbers}")
    choices = texts_of(values.get("choices"), "choices", where)
    if len(choices) < len(numbers):
        raise UserError(f"{where}: {len(numbers)} blanks share {len(choices)} choices; each is used at most once")
    answers = values.get("answers")
    if not isinstance(answers, list) or len(answers) != len(numbers):
        raise UserError(f"{where}: answers must be a list of {len(numbers)} indices, one a blank, not {answers!r:.60}")
    right = [index_of(answer, len(choices), where) for answer in answers]
    if len(set(right)) < len(right):
        raise UserError(f"{where}: answers hold an index twice; each choice is used at most once")
    candidates = []
    for answer in right:
        wrong = rng.permutation([n for n in range(len(choices)) if n != answer])[: task.negatives]
        candidates.append(tuple(sorted([answer, *wrong.tolist()])))
    return Passage(where, tuple(pieces[::2]), tuple(choices), tuple(candidates), tuple(right))


def fill_blanks(passage: Passage, scorer: Scorer, tokenizer: Tokenizer, beams: int) -> tuple[int, ...]:
    """The likeliest way to fill the blanks that a beam search from the first to the last finds; numbers of choices.

    How likely a way is, is the mean log-probability of all tokens of the passage up to the next blank, in the end of
    the whole passage. Of the ways so far those go on that leave a choice for every later blank: one always does.
    """
    ways: list[tuple[int, ...]] = [()]
    for _ in passage.right:
        ways = [longer for way in ways for longer in _continued(passage, way)]
        texts = [tokenizer.encode(passage.filled(way)).ids[:-1] for way in ways]
        scores = np.asarray([found.mean() for found in scorer.log_likelihoods(texts)])
        ways = [ways[n] for n in np.argsort(-scores, kind="stable")[:beams]]
    return ways[0]


def _continued(passage: Passage, way: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for choice in passage.candidates[len(way)]:
        if choice not in way and _leaves_choices(passage, (*way, choice)):
            yield (*way, choice)


def _leaves_choices(passage: Passage, way: tuple[int, ...]) -> bool:
    """Whether all blanks behind can still have a candidate each."""
    rest = passage.candidates[len(way) :]
    if not rest:
        return True
    table = np.zeros((len(rest), len(passage.choices)), dtype=np.int8)
    for row, candidates in zip(table, rest, strict=True):
        row[[n for n in candidates if n not in way]] = 1
    return bool((maximum_bipartite_matching(csr_array(table), perm_type="column") >= 0).all())


def passage_scores(passages: Sequence[Passage], scorer: Scorer, tokenizer: Tokenizer, beams: int) -> dict[str, float]:
    """What CMRC 2019's evaluation counts: the share of right blanks and of passages with all blanks right.

    ``chance`` is the share of right blanks to be expected where each is guessed by itself.
    """
    right = [
        np.asarray(fill_blanks(passage, scorer, tokenizer, beams)) == np.asarray(passage.right) for passage in passages
    ]
    return {
        "chance": float(np.mean([1 / len(tried) for passage in passages for tried in passage.candidates])),
        "questions": float(np.mean(np.concatenate(right))),
        "passages": float(np.mean([found.all() for found in right])),
    }
