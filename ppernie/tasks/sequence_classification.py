"""One of several classes for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from ppernie.errors import UserError
from ppernie.tasks.base import Example, Item, TaskOptions, require, softmax, text_length, where
from ppernie.tasks.labels import LabelledTask, collect_labels
from ppernie.tasks.metrics.classification import ClassificationScore

if TYPE_CHECKING:
    import paddle


class Options(TaskOptions):
    labels: list[str] | None = Field(
        default=None, min_length=2, description="class names in id order; from the training data where null"
    )


class SequenceClassification(LabelledTask):
    """Example: ``text``, optionally ``text_pair``, and ``label``."""

    Options = Options
    metric_names = ("accuracy", "macro_f1", "micro_f1", "mcc")
    output_dims = ("batch", "classes")

    def prepare(self, examples: Sequence[Example]) -> None:
        if self.options.labels is None:
            for example in examples:
                require(example, "label")
            labels = collect_labels(example["label"] for example in examples)
            if len(labels) < 2:
                raise UserError(f"the training data has a single label, {labels}: nothing can be learnt from it")
            self.set_labels(labels)

    def expand(self, example: Example, labelled: bool) -> list[Item]:
        require(example, "text", *(["label"] if labelled else []))
        label = self.labels.id(example["label"], where(example)) if labelled else None
        return [Item(example, label, text_length(example, self.max_length))]

    def loss(self, outputs: paddle.Tensor, batch: Mapping[str, paddle.Tensor]) -> paddle.Tensor:
        from paddle.nn import functional as F

        return F.cross_entropy(outputs, batch["labels"], reduction="sum")

    def score(self, items: Sequence[Item], results: Sequence[np.ndarray]) -> dict[str, float]:
        metric = ClassificationScore()
        metric.update(np.argmax(results, -1), np.asarray([item.label for item in items]))
        return metric.compute()

    def answer(self, items: Sequence[Item], results: Sequence[np.ndarray]) -> dict[str, Any]:
        scores = softmax(results[0])
        best = int(scores.argmax())
        return {
            "label": self.options.labels[best],
            "score": float(scores[best]),
            "scores": dict(zip(self.options.labels, map(float, scores), strict=True)),
        }
