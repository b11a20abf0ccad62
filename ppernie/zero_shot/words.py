"""The words of a passage, among which a query's answer is."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ppernie.data.corpus.segmentation import Segmenter, open_segmenter
from ppernie.data.readers.values import texts_of
from ppernie.errors import UserError


def words_of(passage: Any, column: str, where: str) -> list[str]:
    """Each word once, in their order: of a list, or of a text as jieba cuts it; punctuation is no word.

    Raises:
        UserError: the passage has fewer than two words.
    """
    words = _cut(passage) if isinstance(passage, str) else texts_of(passage, column, where)
    found = [word for word in dict.fromkeys(words) if any(map(str.isalnum, word))]
    if len(found) < 2:
        raise UserError(f"{where}: {column} must be a passage of two words or more, not {passage!r:.60}")
    return found


def _cut(text: str) -> list[str]:
    begins, _ = _jieba()([text])
    starts = [*np.flatnonzero(begins).tolist(), len(text)]
    return [text[start:end] for start, end in zip(starts[:-1], starts[1:], strict=True)]


@cache
def _jieba() -> Segmenter:
    return open_segmenter("jieba", None)
