"""Sentence distance (ERNIE 3.0, section 3.2.2): are two sentences neighbours, of one document, or of two?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_zoo.ernie3.universal.streams.texts import NO_POSITIONS, TextStream
from ppernie.data.tokenizers.base import kept_tokens
from ppernie.errors import UserError

if TYPE_CHECKING:
    from ppernie.data.corpus import Corpus
    from ppernie.data.tokenizers import Tokenizer
    from ppernie.tasks.base import Features

NEIGHBOURS, SAME_DOCUMENT, OTHER_DOCUMENT = range(3)
# With fewer sentences, a document has none that are not neighbours.
_LEAST_SENTENCES = 3


class Distance(TextStream):
    """``[CLS] sentence [SEP] sentence [SEP]``, of equally many of the three classes.

    Two sentences of one document stand in its order, and those of two are the earlier and the later one of such pairs:
    neither alone tells that they are apart.
    """

    objective = "distance"

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, longest: int) -> None:
        super().__init__(corpus, tokenizer, 2)
        self.room(longest)
        sizes = np.diff(corpus.documents)
        weights = np.asarray(corpus.weights)[np.asarray(corpus.source_of)]
        self._documents = np.flatnonzero((sizes >= _LEAST_SENTENCES) & (weights > 0))
        if len(self._documents) < 2:
            raise UserError(
                f"the corpus has {len(self._documents)} documents of {_LEAST_SENTENCES} sentences or more, and two are "
                "needed; add documents, or set Task.factors.distance to 0"
            )
        self._draws = corpus.draws(corpus.documents[self._documents], sizes[self._documents])

    def __len__(self) -> int:
        return len(self._draws)

    def sample(self, index: int, length: int, rng: np.random.Generator) -> Features:
        kind = int(rng.integers(3))
        texts = [self._sentence(number) for number in self._pair(self._draws.find(index)[0], kind, rng)]
        kept = kept_tokens([len(text) for text in texts], length, "longest_first", 0)
        ids, types = self.joined([text[:size] for text, size in zip(texts, kept, strict=True)], [0, 1])
        return {
            "input_ids": ids,
            "token_type_ids": types,
            "masked_positions": NO_POSITIONS,
            "labels": np.asarray([kind]),
        }

    def sizes(self, indices: np.ndarray, length: int) -> np.ndarray:
        """Of two sentences that are as long as the document's on the average; which two it will be is not known yet."""
        documents = self._documents[self._draws.find_all(indices)[0]]
        borders = np.stack([self.corpus.documents[documents], self.corpus.documents[documents + 1]], 1)
        return np.minimum(2 * self.corpus.sizes(borders) // np.diff(borders)[:, 0], self.room(length))

    def _pair(self, document: int, kind: int, rng: np.random.Generator) -> tuple[int, int]:
        """The numbers of two sentences, the first of the document, of those that are drawn."""
        first, last = map(int, self.corpus.documents[self._documents[document] :][:2])
        if kind == NEIGHBOURS:
            one = int(rng.integers(first, last - 1))
            return one, one + 1
        if kind == SAME_DOCUMENT:
            # Two of one sentence less, the later one moved on: at least one sentence is between them.
            one, other = sorted(rng.choice(last - first - 1, 2, replace=False).tolist())
            return first + one, first + other + 1
        kinds = rng.integers(OTHER_DOCUMENT, size=2).tolist()
        one, _ = self._pair(document, kinds[0], rng)
        _, other = self._pair(self._other(document, rng), kinds[1], rng)
        return one, other

    def _other(self, document: int, rng: np.random.Generator) -> int:
        """A random other document, as likely as it is drawn."""
        other = document
        while other == document:
            other, _ = self._draws.find(int(rng.integers(len(self._draws))))
        return other

    def _sentence(self, number: int) -> np.ndarray:
        start, stop = self.corpus.sentences[number : number + 2]
        return np.asarray(self.corpus.tokens[start:stop])
