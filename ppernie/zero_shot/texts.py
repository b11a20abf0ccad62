"""Texts, of which a network's perplexity is measured (WPLC)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ppernie.data.readers.rows import read_rows
from ppernie.data.tokenizers import Tokenizer
from ppernie.errors import UserError
from ppernie.zero_shot.prompts import PerplexityTask
from ppernie.zero_shot.questions import sides
from ppernie.zero_shot.scores import Scorer
from ppernie.zero_shot.templates import fill


class Text(NamedTuple):
    where: str
    text: str


def read_texts(task: PerplexityTask, root: str | None, limit: int | None = None, seed: int = 0) -> list[Text]:
    """The texts of a task, or ``limit`` of them, drawn by the seed.

    Raises:
        UserError: a file is absent, or a row lacks a column, or its text is empty.
    """
    texts = []
    for _, where, values in read_rows(task.files, root, limit, seed):
        columns = values if task.blank is None else values | sides(task.blank, where, values)
        text = fill(task.text, columns, where).text
        if not text.strip():
            raise UserError(f"{where}: the text is empty")
        texts.append(Text(where, text))
    return texts


def perplexity(texts: Sequence[Text], scorer: Scorer, tokenizer: Tokenizer) -> dict[str, float]:
    """The perplexity of a token, over all texts together, and the bits that a character but spaces takes.

    Bits compare networks of different vocabularies, perplexities of tokens do not.

    Raises:
        UserError: a text has no token.
    """
    encodings = [tokenizer.encode(text).ids[:-1] for _, text in texts]
    for (where, text), ids in zip(texts, encodings, strict=True):
        if len(ids) < 2:
            raise UserError(f"{where}: the text {text!r:.40} has no token in this vocabulary")
    found = scorer.log_likelihoods(encodings)
    total = -sum(float(part.sum()) for part in found)
    characters = sum(not char.isspace() for _, text in texts for char in text)
    return {
        "perplexity": math.exp(total / sum(map(len, found))),
        "bits_per_char": total / math.log(2) / characters,
    }
