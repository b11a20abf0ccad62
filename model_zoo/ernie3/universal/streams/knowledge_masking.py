"""Knowledge masked language modelling (ERNIE 3.0, section 3.2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_zoo.ernie3.universal.streams.masking import Masking, span_starts
from model_zoo.ernie3.universal.streams.texts import WindowStream

if TYPE_CHECKING:
    from ppernie.data.corpus import Corpus
    from ppernie.data.tokenizers import Tokenizer
    from ppernie.tasks.base import Features


class KnowledgeMasking(WindowStream):
    """``[CLS] text [SEP]`` with a share ``rate`` of its tokens hidden, by whole words and named entities."""

    objective = "knowledge_masking"

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, longest: int, rate: float) -> None:
        super().__init__(corpus, tokenizer, longest)
        self._masking = Masking(tokenizer, rate)

    def made(self, part: slice, borders: np.ndarray, rng: np.random.Generator) -> Features:
        tokens = np.asarray(self.corpus.tokens[part], np.int64)
        starts = span_starts(np.asarray(self.corpus.words[part]), np.asarray(self.corpus.entities[part]))
        masked, positions = self._masking(tokens, starts, rng)
        ids, types = self.joined([masked], [0])
        return {
            "input_ids": ids,
            "token_type_ids": types,
            "masked_positions": 1 + positions,
            "labels": tokens[positions],
        }
