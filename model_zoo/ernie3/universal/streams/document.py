"""Document language modelling (ERNIE 3.0, section 3.2.4): each next token of a long text, from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ppernie.data.collate import pad_rows
from ppernie.data.streams import Stream

if TYPE_CHECKING:
    from ppernie.data.corpus import Corpus
    from ppernie.data.tokenizers import Tokenizer
    from ppernie.tasks.base import Batch, Features


class Documents(Stream):
    """Runs of ``segments`` segments of one document, which is ``[CLS] text [SEP]``.

    In a pass over the corpus at full length, every token but [CLS] is predicted once. A run of shorter segments is a
    random part of one at full length.

    Args:
        longest: tokens of a segment at full length.
    """

    objective = "document"

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, longest: int, segments: int) -> None:
        self._corpus, self._tokenizer, self._segments = corpus, tokenizer, segments
        self._longest = longest * segments
        sizes = np.diff(np.asarray(corpus.sentences)[corpus.documents])
        self._draws = corpus.draws(np.asarray(corpus.documents[:-1]), -(-(sizes + 1) // self._longest))

    def __len__(self) -> int:
        return len(self._draws)

    def sample(self, index: int, length: int, rng: np.random.Generator) -> Features:
        document, run = self._draws.find(index)
        first, stop = (
            int(self._corpus.sentences[border]) for border in self._corpus.documents[document : document + 2]
        )
        predicted = stop - first + 1
        begin = run % -(-predicted // self._longest) * self._longest
        size, room = min(predicted - begin, self._longest), length * self._segments
        begin += int(rng.integers(max(size - room, 0) + 1))
        end = begin + min(size, room)
        text = self._text(first, stop, begin, end + 1)
        return {"document_ids": text[:-1], "labels": text[1:]}

    def sizes(self, indices: np.ndarray, length: int) -> np.ndarray:
        documents, runs = self._draws.find_all(indices)
        borders = self._corpus.documents
        predicted = self._corpus.sizes(np.stack([borders[documents], borders[documents + 1]], 1)) + 1
        begins = runs % -(-predicted // self._longest) * self._longest
        return np.minimum(predicted - begins, length * self._segments)

    def collate(self, features: Sequence[Features], length: int) -> Batch:
        """Rows are padded to the longest; the last segment may be shorter than ``segment_length``."""
        ids = pad_rows([f["document_ids"] for f in features], self._tokenizer.pad_id)
        width = ids.shape[1]
        return {
            "document_ids": ids,
            "segment_length": np.asarray(length),
            "predicted_positions": np.concatenate(
                [row * width + np.arange(len(f["labels"])) for row, f in enumerate(features)]
            ),
            self.objective: np.concatenate([f["labels"] for f in features]),
        }

    def _text(self, first: int, stop: int, begin: int, end: int) -> np.ndarray:
        """The tokens [begin, end) of ``[CLS] text [SEP]``, whose text the corpus has at [first, stop)."""
        size = stop - first
        text = np.asarray(self._corpus.tokens[first + max(begin - 1, 0) : first + min(end - 1, size)], np.int64)
        lead, trail = [self._tokenizer.cls_id] * (begin == 0), [self._tokenizer.sep_id] * (end == size + 2)
        return np.concatenate([lead, text, trail]).astype(np.int64)
