"""A text for a text: a question for a passage, a title for an article."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from ppernie.data.collate import pad_rows
from ppernie.decoding.options import Decoding
from ppernie.errors import UserError
from ppernie.tasks.base import Batch, Example, Features, Item, Task, TaskOptions, require
from ppernie.tasks.metrics.generation import GenerationScore

if TYPE_CHECKING:
    import paddle

# Stands behind the tokens of a generated row that is shorter than the longest.
_NOTHING = -1
# The tokenizer puts a space between any two words; between and beside Chinese characters none is written.
_NEEDLESS_SPACE = re.compile(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])")


class Options(TaskOptions):
    max_target_length: int = Field(
        default=64, ge=2, description="longest target in tokens, its end counted; the source has the rest of max_length"
    )
    decoding: Decoding = Field(default=Decoding(), description="how tokens are chosen")


class TextGeneration(Task):
    """Example: ``text`` and ``target``.

    A network of language modelling reads ``[CLS] text [SEP] target [SEP]`` from left to right; the loss is that of the
    target and its end. At evaluation and prediction it writes the target itself.
    """

    Options = Options
    metric_names = ("rouge_l", "bleu")
    input_names = ("document_ids", "predicted_positions")
    output_dims = ("tokens", "vocabulary")
    generative = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.max_source_length = self.max_length - self.options.max_target_length
        if self.max_source_length < 3:
            raise UserError(
                f"Task.max_target_length: {self.options.max_target_length} leaves {self.max_source_length} of "
                f"Data.max_length = {self.max_length} tokens for the source; raise max_length or lower it"
            )

    @property
    def id_names(self) -> tuple[str, ...]:
        return ("document_ids",)

    def expand(self, example: Example, labelled: bool) -> list[Item]:
        require(example, "text", *(["target"] if labelled else []))
        source = min(len(example["text"]) + 2, self.max_source_length)
        target = min(len(example["target"]) + 1, self.options.max_target_length) if labelled else 0
        return [Item(example, example["target"] if labelled else None, source + target)]

    def encode(self, item: Item, key: tuple[int, ...]) -> Features:
        features: Features = {
            "source": self.tokenizer.encode(item.example["text"], max_length=self.max_source_length).ids,
            "number": key[-1],
        }
        if item.label is not None:
            # Without [CLS], which stands before the source.
            target = self.tokenizer.encode(item.label, max_length=self.options.max_target_length + 1).ids[1:]
            features["labels"] = target
        return features

    def is_cut(self, item: Item) -> bool:
        text = item.example["text"]
        fits = len(text) + 2 <= self.max_source_length
        return not fits and len(self.tokenizer.encode(text)) > self.max_source_length

    def collate(self, features: Sequence[Features]) -> Batch:
        sources = [f["source"] for f in features]
        targets = [f.get("labels", []) for f in features]
        rows = [source + target for source, target in zip(sources, targets, strict=True)]
        batch = {
            "document_ids": pad_rows(rows, self.tokenizer.pad_id),
            "source_lengths": np.asarray([len(source) for source in sources], dtype=np.int64),
            "numbers": np.asarray([f["number"] for f in features], dtype=np.int64),
        }
        if "labels" in features[0]:
            width = batch["document_ids"].shape[1]
            starts = [row * width + len(source) - 1 for row, source in enumerate(sources)]
            positions = [np.arange(s, s + len(t), dtype=np.int64) for s, t in zip(starts, targets, strict=True)]
            batch["predicted_positions"] = np.concatenate(positions)
            batch["labels"] = np.concatenate([np.asarray(target, dtype=np.int64) for target in targets])
        return batch

    def loss(self, outputs: paddle.Tensor, batch: Mapping[str, paddle.Tensor]) -> paddle.Tensor:
        return self.cross_entropy(outputs, batch["labels"])

    def cross_entropy(self, logits: paddle.Tensor, labels: paddle.Tensor) -> paddle.Tensor:
        """Sum over the labels int64 [n] of scores [n, vocabulary]; a run whose ranks share these puts its own here."""
        from paddle.nn import functional as F

        return F.cross_entropy(logits, labels, reduction="sum")

    def run(self, network: Any, batch: Batch) -> np.ndarray:
        """Writes the targets, int64 [batch, longest]; -1 stands behind shorter ones."""
        from ppernie.decoding.generate import generate

        rows = zip(batch["document_ids"].tolist(), batch["source_lengths"].tolist(), strict=True)
        texts = generate(
            network,
            [ids[:length] for ids, length in rows],
            self.options.decoding,
            end_id=self.tokenizer.sep_id,
            max_new_tokens=self.options.max_target_length,
            numbers=batch["numbers"].tolist(),
        )
        return pad_rows(texts, _NOTHING)

    def reduce(self, outputs: np.ndarray, batch: Batch) -> list[list[int]]:
        return [row[row != _NOTHING].tolist() for row in outputs]

    def score(self, items: Sequence[Item], results: Sequence[list[int]]) -> dict[str, float]:
        metric = GenerationScore()
        metric.update(results, [self.tokenizer.encode(item.label).ids[1:-1] for item in items])
        return metric.compute()

    def answer(self, items: Sequence[Item], results: Sequence[list[int]]) -> dict[str, Any]:
        return {"text": _NEEDLESS_SPACE.sub("", self.tokenizer.decode(results[0]))}
