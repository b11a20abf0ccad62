"""Texts without labels to distil on: of a corpus, or of the examples of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ppernie.data.collate import pad_rows
from ppernie.data.corpus.windows import Windows
from ppernie.data.streams import Stream
from ppernie.tasks.base import Batch, Example, Features, TaskOptions, text_length
from ppernie.tasks.pretraining import PretrainingTask

if TYPE_CHECKING:
    import paddle

    from ppernie.data.corpus import Corpus
    from ppernie.data.tokenizers import Tokenizer
    from ppernie.slim.distillation.augmentation import Augmenter


class Options(TaskOptions):
    """There are none."""


class TextStream(Stream):
    """Base of the streams: texts as ``input_ids`` and ``token_type_ids``."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def collate(self, features: Sequence[Features], length: int) -> Batch:
        return {
            "input_ids": pad_rows([f["input_ids"] for f in features], self.tokenizer.pad_id),
            "token_type_ids": pad_rows([f["token_type_ids"] for f in features], 0),
        }


class WindowStream(TextStream):
    """``[CLS] text [SEP]`` of a corpus's windows.

    Args:
        longest: tokens of the longest sample; a shorter one is a random part of its window.
    """

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, longest: int) -> None:
        super().__init__(tokenizer)
        self._windows = Windows(corpus, longest - 2)

    def __len__(self) -> int:
        return len(self._windows)

    def sample(self, index: int, length: int, rng: np.random.Generator) -> Features:
        part, _ = self._windows.part(index, length - 2, rng)
        text = np.asarray(self._windows.corpus.tokens[part], dtype=np.int64)
        ids = np.concatenate([[self.tokenizer.cls_id], text, [self.tokenizer.sep_id]])
        return {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}

    def sizes(self, indices: np.ndarray, length: int) -> np.ndarray:
        return self._windows.sizes(indices, length - 2)


class ExampleStream(TextStream):
    """The texts and pairs of a task's examples.

    Attributes:
        augmenter: puts other words into them; None leaves them.
    """

    augmenter: Augmenter | None = None

    def __init__(self, examples: Sequence[Example], tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def sample(self, index: int, length: int, rng: np.random.Generator) -> Features:
        example = self.examples[index]
        if self.augmenter is not None:
            example = self.augmenter(example, rng)
        encoding = self.tokenizer.encode(example["text"], example.get("text_pair"), max_length=length)
        return {"input_ids": encoding.ids, "token_type_ids": encoding.type_ids}

    def sizes(self, indices: np.ndarray, length: int) -> np.ndarray:
        return np.asarray([text_length(self.examples[int(index)], length) for index in indices])


class TextDistillation(PretrainingTask):
    """An encoder learns from a teacher's layers what texts say; ``Slim.distillation`` brings the objectives."""

    Options = Options
    objectives: Mapping[str, float] = {}

    def streams(self, corpus: Corpus, arch: Any) -> dict[str, Stream]:
        return {"texts": WindowStream(corpus, self.tokenizer, self.max_length)}

    def example_streams(self, examples: Sequence[Example]) -> dict[str, Stream]:
        """The stream of a task's examples, whose labels are not read."""
        return {"texts": ExampleStream(examples, self.tokenizer)}

    def losses(self, outputs: Any, batch: Mapping[str, paddle.Tensor]) -> dict[str, paddle.Tensor]:
        return {}

    def weights(self, batch: Batch) -> dict[str, float]:
        return {}
