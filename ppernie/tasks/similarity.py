"""How alike two texts are: 0 or 1, or a grade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from ppernie.data.collate import pad_rows
from ppernie.errors import UserError
from ppernie.tasks.base import Batch, Example, Features, Item, Task, TaskOptions, require, text_length, where
from ppernie.tasks.metrics.classification import ClassificationScore
from ppernie.tasks.metrics.regression import RegressionScore

if TYPE_CHECKING:
    import paddle


class Options(TaskOptions):
    max_score: float = Field(default=1.0, gt=0, description="the label of equal texts; labels run from 0 to it")


class Similarity(Task):
    """Example: ``text``, ``text_pair`` and ``label``, a number from 0 to ``max_score``.

    With a ``max_score`` of 1 the labels are 0 and 1, and a score of at least 0.5 counts as similar.
    """

    Options = Options

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.graded = self.options.max_score != 1.0
        self.metric_names = ("spearman", "pearson") if self.graded else ("accuracy", "macro_f1")

    def expand(self, example: Example, labelled: bool) -> list[Item]:
        require(example, "text", "text_pair", *(["label"] if labelled else []))
        most = self.options.max_score
        if labelled and not 0 <= example["label"] <= most:
            raise UserError(f"{where(example)}: label {example['label']} lies outside 0..{most:g} (Task.max_score)")
        label = example["label"] / most if labelled else None
        return [Item(example, label, text_length(example, self.max_length))]

    def collate_labels(self, labels: Sequence[float], length: int) -> np.ndarray:
        return np.asarray(labels, dtype=np.float32)

    def score(self, items: Sequence[Item], results: Sequence[float]) -> dict[str, float]:
        labels = np.asarray([item.label for item in items])
        metric: RegressionScore | ClassificationScore
        if self.graded:
            metric = RegressionScore()
            metric.update(np.asarray(results), labels)
        else:
            metric = ClassificationScore()
            metric.update(np.asarray(results) >= 0.5, labels >= 0.5)
        scores = metric.compute()
        return {name: scores[name] for name in self.metric_names}

    def answer(self, items: Sequence[Item], results: Sequence[float]) -> dict[str, Any]:
        answer: dict[str, Any] = {"score": results[0] * self.options.max_score}
        if not self.graded:
            answer["similar"] = results[0] >= 0.5
        return answer


class CrossSimilarity(Similarity):
    """Both texts in one input; learns by cross entropy of the head's sigmoid."""

    output_dims = ("batch", "classes")

    def head(self) -> dict[str, Any]:
        return {"num_labels": 1}

    def loss(self, outputs: paddle.Tensor, batch: Mapping[str, paddle.Tensor]) -> paddle.Tensor:
        from paddle.nn import functional as F

        return F.binary_cross_entropy_with_logits(outputs[:, 0], batch["labels"], reduction="sum")

    def reduce(self, outputs: np.ndarray, batch: Batch) -> list[float]:
        return [float(score) for score in 1.0 / (1.0 + np.exp(-outputs[:, 0].astype(np.float64)))]


class DualSimilarity(Similarity):
    """Each text alone; learns by the squared error of the cosine (Reimers and Gurevych 2019, section 3)."""

    input_names = ("input_ids", "pair_input_ids")
    output_dims = ("batch",)

    def encode(self, item: Item, key: tuple[int, ...]) -> Features:
        texts = [item.example["text"], item.example["text_pair"]]
        first, second = self.tokenizer.encode_batch(texts, max_length=self.max_length)
        features: Features = {"input_ids": first.ids, "pair_input_ids": second.ids}
        if item.label is not None:
            features["labels"] = item.label
        return features

    def is_cut(self, item: Item) -> bool:
        texts = [item.example["text"], item.example["text_pair"]]
        return any(len(encoding) > self.max_length for encoding in self.tokenizer.encode_batch(texts))

    def collate(self, features: Sequence[Features]) -> Batch:
        # One length for both sides, as the exported graph has one.
        width = max(len(f[name]) for f in features for name in self.input_names)
        pad = self.tokenizer.pad_id
        batch = {name: pad_rows([f[name] for f in features], pad, width) for name in self.input_names}
        if "labels" in features[0]:
            batch["labels"] = self.collate_labels([f["labels"] for f in features], width)
        return batch

    def loss(self, outputs: paddle.Tensor, batch: Mapping[str, paddle.Tensor]) -> paddle.Tensor:
        from paddle.nn import functional as F

        return F.mse_loss(outputs, batch["labels"], reduction="sum")

    def reduce(self, outputs: np.ndarray, batch: Batch) -> list[float]:
        return [float(score) for score in outputs]
