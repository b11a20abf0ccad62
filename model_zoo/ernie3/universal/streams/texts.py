"""What the streams of the NLU module share: texts between special tokens, and batches of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ppernie.data.collate import pad_rows
from ppernie.data.corpus.windows import Windows
from ppernie.data.streams import Stream
from ppernie.errors import UserError

if TYPE_CHECKING:
    from ppernie.data.corpus import Corpus
    from ppernie.data.tokenizers import Tokenizer
    from ppernie.tasks.base import Batch, Features

NO_POSITIONS = np.empty(0, np.int64)


class TextStream(Stream):
    """Samples ``[CLS] text [SEP] text [SEP] ...``.

    Features are ``input_ids`` and ``token_type_ids`` [length], the ``masked_positions`` in them, and ``labels``. A
    batch has the labels of all its rows as one array under the objective's name.

    Args:
        texts: the most that a sample holds.
    """

    objective: ClassVar[str]

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, texts: int) -> None:
        self.corpus, self.tokenizer, self._texts = corpus, tokenizer, texts

    def room(self, length: int) -> int:
        """Tokens of text in a sample of ``length`` tokens. Raises UserError where a text would get none."""
        room = length - 1 - self._texts
        if room < self._texts:
            raise UserError(
                f"{length} tokens are too few for a sample of {self.objective}; make Data.max_length, and "
                f"Train.progressive.length where it is set, at least {1 + 2 * self._texts}"
            )
        return room

    def joined(self, texts: Sequence[np.ndarray], types: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Ids and types of ``[CLS] text [SEP] text [SEP] ...``, int64 [length] each; [CLS] has the first type."""
        pieces = [piece for text in texts for piece in (text, [self.tokenizer.sep_id])]
        sizes = [len(text) + 1 for text in texts]
        sizes[0] += 1
        return np.concatenate([[self.tokenizer.cls_id], *pieces]).astype(np.int64), np.repeat(types, sizes)

    def collate(self, features: Sequence[Features], length: int) -> Batch:
        ids = pad_rows([f["input_ids"] for f in features], self.tokenizer.pad_id)
        width = ids.shape[1]
        return {
            "input_ids": ids,
            "token_type_ids": pad_rows([f["token_type_ids"] for f in features], 0),
            "masked_positions": np.concatenate([row * width + f["masked_positions"] for row, f in enumerate(features)]),
            self.objective: np.concatenate([f["labels"] for f in features]),
        }


class WindowStream(TextStream):
    """Samples of windows of sentences, of which a shorter sample takes a random part.

    Args:
        longest: tokens of the longest sample.
    """

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, longest: int, texts: int = 1) -> None:
        super().__init__(corpus, tokenizer, texts)
        self._windows = Windows(corpus, self.room(longest))

    def __len__(self) -> int:
        return len(self._windows)

    def sample(self, index: int, length: int, rng: np.random.Generator) -> Features:
        return self.made(*self._windows.part(index, self.room(length), rng), rng)

    def sizes(self, indices: np.ndarray, length: int) -> np.ndarray:
        return self._windows.sizes(indices, self.room(length))

    @abstractmethod
    def made(self, part: slice, borders: np.ndarray, rng: np.random.Generator) -> Features:
        """The sample of a part of the corpus's tokens, around which sentences begin and end at ``borders``."""
