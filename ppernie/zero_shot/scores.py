"""Five ways to score a choice y for a text x by a language model (ERNIE 3.0 Titan, arXiv:2112.12731, section 6.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ppernie.data.tokenizers import Tokenizer
from ppernie.errors import UserError
from ppernie.zero_shot.questions import Choice, Question
from ppernie.zero_shot.templates import Filled

SCORES = ("P(x,y)", "P(y|x)", "P(x|y)", "P(y|x)/P(y)", "P(True|x,y)")


class Scorer(Protocol):
    """A network that says how likely texts are."""

    def log_likelihoods(self, texts: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """For each text, float64 [n - 1]: log-probabilities of its tokens after the first, given those before."""

    def truths(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Log-probabilities that the second sentence of a pair follows the first, float64 [pairs]."""

    def span(
        self, prompt: Sequence[int], context: Sequence[int], *, beams: int, end_id: int, max_new_tokens: int
    ) -> list[int]:
        """The likeliest stretch of a context's tokens behind a prompt, at least one token and none the end's."""


def score(questions: Sequence[Question], scorer: Scorer, tokenizer: Tokenizer) -> dict[str, list[np.ndarray]]:
    """The five scores of every choice, logarithms: by score, for each question float64 [choices].

    Log-probabilities are means over tokens, so that longer choices are not the less likely ones:

    * P(x,y): of all tokens of the prompt,
    * P(y|x): of the label's tokens in it,
    * P(x|y): of the tokens behind the label in the reverse prompt,
    * P(y|x)/P(y): P(y|x) less that of the label in the prompt without a text,
    * P(True|x,y): the distance head's, for the pair.

    Raises:
        UserError: a label has no token, or nothing follows it in the reverse prompt.
    """
    choices = [(question.where, choice) for question in questions for choice in question.choices]
    likelihoods = _Likelihoods([t for _, c in choices for t in (c.prompt, c.reverse, c.empty)], scorer, tokenizer)
    columns = np.asarray([_language_scores(where, choice, likelihoods) for where, choice in choices]).T
    truths = scorer.truths([choice.pair for _, choice in choices])
    ends = np.cumsum([len(question.choices) for question in questions])[:-1]
    return {name: np.split(column, ends) for name, column in zip(SCORES, (*columns, truths), strict=True)}


def _language_scores(where: str, choice: Choice, likelihoods: _Likelihoods) -> tuple[float, float, float, float]:
    whole, label, _ = likelihoods.parts(choice.prompt)
    _, alone, _ = likelihoods.parts(choice.empty)
    _, _, behind = likelihoods.parts(choice.reverse)
    if not len(label) or not len(alone):
        raise UserError(f"{where}: the label {choice.label!r} has no token in this vocabulary")
    if not len(behind):
        raise UserError(f"{where}: nothing follows the label in {choice.reverse.text!r}; let 'reverse' begin with it")
    given = float(label.mean())
    return float(whole.mean()), given, float(behind.mean()), given - float(alone.mean())


class _Likelihoods:
    """Log-probabilities of texts, each asked for once."""

    def __init__(self, texts: Sequence[Filled], scorer: Scorer, tokenizer: Tokenizer) -> None:
        distinct = list(dict.fromkeys(filled.text for filled in texts))
        # Without [SEP]: a prompt is the beginning of a document.
        encodings = {text: tokenizer.encode(text) for text in distinct}
        found = scorer.log_likelihoods([encodings[text].ids[:-1] for text in distinct])
        self._found = dict(zip(distinct, found, strict=True))
        self._offsets = {text: np.asarray(encodings[text].offsets[1:-1]).reshape(-1, 2) for text in distinct}

    def parts(self, filled: Filled) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Those of all tokens, of the label's, and of the ones behind it."""
        found, offsets = self._found[filled.text], self._offsets[filled.text]
        inside = (offsets[:, 0] < filled.end) & (offsets[:, 1] > filled.start)
        return found, found[inside], found[offsets[:, 0] >= filled.end]
