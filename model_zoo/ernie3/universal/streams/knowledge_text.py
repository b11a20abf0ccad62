"""Universal knowledge-text prediction (ERNIE 3.0, section 3.2.3): a triple, and a sentence that may state it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_zoo.ernie3.universal.streams.masking import Masking, span_starts
from model_zoo.ernie3.universal.streams.texts import TextStream
from ppernie.errors import UserError

if TYPE_CHECKING:
    from ppernie.data.corpus import Corpus
    from ppernie.data.tokenizers import Tokenizer
    from ppernie.tasks.base import Features


class KnowledgeText(TextStream):
    """``[CLS] head [SEP] relation [SEP] tail [SEP] sentence [SEP]``.

    Hidden is, as often, either the whole relation or a share ``rate`` of the sentence's tokens, by whole words. Names
    have at most a quarter of the room each; the sentence is cut where it does not fit beside them.
    """

    objective = "knowledge_text"

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, longest: int, rate: float) -> None:
        super().__init__(corpus, tokenizer, 4)
        self.room(longest)
        self._facts, self._masking = corpus.facts, Masking(tokenizer, rate)
        if not len(self._facts):
            raise UserError(
                "the corpus has no facts, and knowledge_text learns from them: give the config of ppernie preprocess "
                "graphs or pairs, or set Task.factors.knowledge_text to 0"
            )
        self._draws = corpus.fact_draws()

    def __len__(self) -> int:
        return len(self._draws)

    def sizes(self, indices: np.ndarray, length: int) -> np.ndarray:
        facts, _ = self._draws.find_all(indices)
        return np.minimum(self._facts.sizes(facts), self.room(length))

    def sample(self, index: int, length: int, rng: np.random.Generator) -> Features:
        fact, room = self._facts[self._draws.find(index)[0]], self.room(length)
        head, relation, tail = (
            np.asarray(name[: room // 4], np.int64) for name in (fact.head, fact.relation, fact.tail)
        )
        sentence = np.asarray(fact.sentence[: room - len(head) - len(relation) - len(tail)], np.int64)
        if rng.random() < 0.5:
            begin, labels, positions = 2 + len(head), relation, np.arange(len(relation))
            relation = np.full_like(relation, self.tokenizer.mask_id)
        else:
            words = np.asarray(fact.words[: len(sentence)])
            masked, positions = self._masking(sentence, span_starts(words, np.zeros_like(words)), rng)
            begin, labels, sentence = 4 + len(head) + len(relation) + len(tail), sentence[positions], masked
        ids, types = self.joined([head, relation, tail, sentence], [0, 0, 0, 1])
        return {
            "input_ids": ids,
            "token_type_ids": types,
            "masked_positions": begin + positions,
            "labels": labels,
        }
