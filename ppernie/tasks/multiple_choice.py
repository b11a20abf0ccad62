"""The right one among several choices that continue or complete a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from ppernie.data.collate import pad_rows
from ppernie.errors import UserError
from ppernie.tasks.base import Batch, Example, Features, Item, Task, TaskOptions, require, softmax, where
from ppernie.tasks.metrics.classification import ClassificationScore

if TYPE_CHECKING:
    import paddle


class Options(TaskOptions):
    blank: str | None = Field(
        default=None,
        min_length=1,
        description="marker in the text that each choice replaces; where null, a choice is the second segment",
    )
    choices: int = Field(ge=2, le=64, description="number of choices of every example")


class MultipleChoice(Task):
    """Example: ``text``, ``choices`` and ``label``, the index of the right one."""

    Options = Options
    metric_names = ("accuracy",)
    input_dims = ("batch", "choices", "length")
    output_dims = ("batch", "choices")

    def expand(self, example: Example, labelled: bool) -> list[Item]:
        require(example, "text", "choices", *(["label"] if labelled else []))
        text, choices, blank = example["text"], example["choices"], self.options.blank
        if len(choices) != self.options.choices:
            raise UserError(f"{where(example)}: {len(choices)} choices, Task.choices says {self.options.choices}")
        if blank is not None and text.count(blank) != 1:
            raise UserError(
                f"{where(example)}: the text holds the blank '{blank}' {text.count(blank)} times instead of once"
            )
        if labelled and not 0 <= example["label"] < len(choices):
            raise UserError(f"{where(example)}: label {example['label']} is not an index of {len(choices)} choices")
        length = min(len(text) + max(map(len, choices)), self.max_length)
        return [Item(example, example["label"] if labelled else None, length)]

    def encode(self, item: Item, key: tuple[int, ...]) -> Features:
        inputs = [self._input(item.example["text"], choice) for choice in item.example["choices"]]
        encodings = self.tokenizer.encode_batch(inputs, max_length=self.max_length)
        features: Features = {
            "input_ids": [encoding.ids for encoding in encodings],
            "token_type_ids": [encoding.type_ids for encoding in encodings],
        }
        if item.label is not None:
            features["labels"] = item.label
        return features

    def is_cut(self, item: Item) -> bool:
        text, longest = item.example["text"], max(item.example["choices"], key=len)
        fits = len(text) + len(longest) + 3 <= self.max_length
        return not fits and len(self.tokenizer.encode(text, longest)) > self.max_length

    def _input(self, text: str, choice: str) -> str | tuple[str, str]:
        blank = self.options.blank
        if blank is None:
            return text, choice
        # The words nearest the blank decide: keep it in the middle of what fits.
        before, _, after = text.partition(blank)
        room = max(self.max_length - len(choice) - 2, 0)
        left = max(room // 2, room - len(after))
        return before[max(len(before) - left, 0) :] + choice + after

    def collate(self, features: Sequence[Features]) -> Batch:
        shape = (len(features), self.options.choices, -1)
        batch = {
            "input_ids": pad_rows([row for f in features for row in f["input_ids"]], self.tokenizer.pad_id),
            "token_type_ids": pad_rows([row for f in features for row in f["token_type_ids"]], 0),
        }
        batch = {name: ids.reshape(shape) for name, ids in batch.items()}
        if "labels" in features[0]:
            batch["labels"] = np.asarray([f["labels"] for f in features], dtype=np.int64)
        return batch

    def loss(self, outputs: paddle.Tensor, batch: Mapping[str, paddle.Tensor]) -> paddle.Tensor:
        from paddle.nn import functional as F

        return F.cross_entropy(outputs, batch["labels"], reduction="sum")

    def score(self, items: Sequence[Item], results: Sequence[np.ndarray]) -> dict[str, float]:
        metric = ClassificationScore()
        metric.update(np.argmax(results, -1), np.asarray([item.label for item in items]))
        return {"accuracy": metric.compute()["accuracy"]}

    def answer(self, items: Sequence[Item], results: Sequence[np.ndarray]) -> dict[str, Any]:
        scores = softmax(results[0])
        best = int(scores.argmax())
        return {
            "choice": best,
            "text": items[0].example["choices"][best],
            "score": float(scores[best]),
            "scores": [float(score) for score in scores],
        }
