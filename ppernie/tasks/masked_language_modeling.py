"""Masked tokens, predicted from their surroundings (Devlin et al. 2019, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from ppernie.tasks.base import (
    Batch,
    Example,
    Features,
    Item,
    Task,
    TaskOptions,
    require,
    softmax,
    text_length,
)

if TYPE_CHECKING:
    import paddle


class Options(TaskOptions):
    mask_rate: float = Field(default=0.15, gt=0, lt=1, description="share of the tokens that are predicted")
    top_k: int = Field(default=5, ge=1, description="tokens that a prediction lists for each [MASK]")


class MaskedLanguageModeling(Task):
    """Example: ``text``. At prediction every [MASK] in it is filled.

    Of the chosen tokens 80% become [MASK], 10% a random token, and 10% stay.
    """

    Options = Options
    metric_names = ("accuracy", "perplexity")
    output_dims = ("batch", "length", "vocabulary")

    def expand(self, example: Example, labelled: bool) -> list[Item]:
        require(example, "text")
        return [Item(example, labelled or None, text_length(example, self.max_length))]

    def encode(self, item: Item, key: tuple[int, ...]) -> Features:
        encoding = self.encoding(item)
        features: Features = {"input_ids": encoding.ids, "token_type_ids": encoding.type_ids}
        if item.label:
            features |= self._mask(np.asarray(encoding.ids), np.asarray(encoding.special_tokens_mask), key)
        return features

    def _mask(self, ids: np.ndarray, special: np.ndarray, key: tuple[int, ...]) -> Features:
        rng = np.random.default_rng(key)
        candidates = np.flatnonzero(special == 0)
        count = min(max(1, round(len(candidates) * self.options.mask_rate)), len(candidates))
        positions = np.sort(rng.choice(candidates, count, replace=False))
        labels = ids[positions]
        action = rng.random(count)
        masked = ids.copy()
        masked[positions[action < 0.8]] = self.tokenizer.mask_id
        swapped = positions[(action >= 0.8) & (action < 0.9)]
        masked[swapped] = rng.integers(0, self.tokenizer.vocab_size, len(swapped))
        return {"input_ids": masked, "positions": positions, "labels": labels}

    def collate(self, features: Sequence[Features]) -> Batch:
        batch = super().collate(features)
        if "labels" in batch:
            width = batch["input_ids"].shape[1]
            batch["masked_positions"] = np.concatenate(
                [row * width + np.asarray(f["positions"], dtype=np.int64) for row, f in enumerate(features)]
            )
            batch["row_sizes"] = np.asarray([len(f["labels"]) for f in features], dtype=np.int64)
        return batch

    def collate_labels(self, labels: Sequence[np.ndarray], length: int) -> np.ndarray:
        return np.concatenate([np.asarray(row, dtype=np.int64) for row in labels])

    def loss(self, outputs: paddle.Tensor, batch: Mapping[str, paddle.Tensor]) -> paddle.Tensor:
        return self.cross_entropy(outputs, batch["labels"])

    def cross_entropy(self, logits: paddle.Tensor, labels: paddle.Tensor) -> paddle.Tensor:
        """Sum over the labels int64 [n] of scores [n, vocabulary]; a run whose ranks share these puts its own here."""
        from paddle.nn import functional as F

        return F.cross_entropy(logits, labels, reduction="sum")

    def reduce(self, outputs: np.ndarray, batch: Batch) -> list[Any]:
        """While evaluating, (correct, log-likelihood, count) of each item; at prediction its logits."""
        if "labels" not in batch:
            return list(outputs)
        labels = batch["labels"]
        rows = np.arange(len(labels))
        likelihood = np.log(softmax(outputs.astype(np.float64))[rows, labels] + 1e-300)
        correct = outputs.argmax(-1) == labels
        ends = np.cumsum(batch["row_sizes"])
        return [
            (int(correct[end - size : end].sum()), float(likelihood[end - size : end].sum()), int(size))
            for end, size in zip(ends, batch["row_sizes"], strict=True)
        ]

    def score(self, items: Sequence[Item], results: Sequence[tuple[int, float, int]]) -> dict[str, float]:
        correct, likelihood, count = np.sum(np.asarray(results, dtype=np.float64), axis=0)
        count = max(count, 1.0)
        return {"accuracy": correct / count, "perplexity": float(np.exp(-likelihood / count))}

    def answer(self, items: Sequence[Item], results: Sequence[np.ndarray]) -> dict[str, Any]:
        ids = np.asarray(self.encoding(items[0]).ids)
        masks = []
        for position in np.flatnonzero(ids == self.tokenizer.mask_id):
            scores = softmax(results[0][position])
            best = np.argsort(-scores, kind="stable")[: self.options.top_k]
            masks.append([{"token": self.tokenizer.id_to_token(int(i)), "score": float(scores[i])} for i in best])
        return {"masks": masks}
