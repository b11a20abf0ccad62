"""A tag for every token of a text: entities and other spans in BIO or BIOES form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from ppernie.data.collate import pad_rows
from ppernie.errors import UserError
from ppernie.tasks.base import (
    IGNORED,
    Batch,
    Example,
    Item,
    TaskOptions,
    by_example,
    require,
    softmax,
    where,
)
from ppernie.tasks.labels import LabelledTask, collect_labels
from ppernie.tasks.metrics.entities import EntityScore, entities_of

if TYPE_CHECKING:
    import paddle

    from ppernie.data.tokenizers import Encoding


class Options(TaskOptions):
    labels: list[str] | None = Field(
        default=None,
        min_length=2,
        description="tags in id order, O among them; from the training data where null",
    )
    unit: Literal["character", "word"] = Field(
        default="character", description="what a plain text is cut into: characters, or words between spaces"
    )


class TokenClassification(LabelledTask):
    """Example: ``tokens`` and ``tags``; at prediction ``text`` alone will do.

    An example longer than ``max_length`` makes several items, so no token is left without a tag.
    """

    Options = Options
    metric_names = ("f1", "precision", "recall")
    output_dims = ("batch", "length", "classes")

    def prepare(self, examples: Sequence[Example]) -> None:
        if self.options.labels is None:
            for example in examples:
                require(example, "tags")
            labels = collect_labels(tag for example in examples for tag in example["tags"])
            if "O" not in labels or len(labels) < 2:
                raise UserError(f"the training data's tags are {labels}: expected 'O' and at least one other")
            self.set_labels(labels)

    def expand(self, example: Example, labelled: bool) -> list[Item]:
        if "tokens" not in example:
            example = self._cut(example)
        tokens = example["tokens"]
        ids = [self.labels.id(tag, where(example)) for tag in example["tags"]] if labelled else None
        items: list[Item] = []
        start = 0
        while start < len(tokens) or not items:
            encoding = self.tokenizer.encode_words(tokens[start:], max_length=self.max_length)
            covered = [word for word in encoding.word_ids if word is not None]
            label = None if ids is None else _first_pieces(encoding, ids[start:])
            if covered or not items:
                items.append(Item(example, label, len(encoding), encoding, start))
            # A window without ids means that nothing after it has any.
            start = start + covered[-1] + 1 if covered else len(tokens)
        return items

    def _cut(self, example: Example) -> Example:
        require(example, "text")
        pattern = r"\S+" if self.options.unit == "word" else r"(?s)."
        matches = list(re.finditer(pattern, example["text"]))
        return {**example, "tokens": [m.group() for m in matches], "spans": [m.span() for m in matches]}

    def is_cut(self, item: Item) -> bool:
        return False

    def collate_labels(self, labels: Sequence[list[int]], length: int) -> np.ndarray:
        return pad_rows(labels, IGNORED, length)

    def weight(self, batch: Batch) -> float:
        return float((batch["labels"] != IGNORED).sum())

    def loss(self, outputs: paddle.Tensor, batch: Mapping[str, paddle.Tensor]) -> paddle.Tensor:
        from paddle.nn import functional as F

        logits = outputs.reshape([-1, outputs.shape[-1]])
        return F.cross_entropy(logits, batch["labels"].flatten(), ignore_index=IGNORED, reduction="sum")

    def score(self, items: Sequence[Item], results: Sequence[np.ndarray]) -> dict[str, float]:
        metric = EntityScore()
        predicted, references = [], []
        for group in by_example(items):
            example = items[group[0]].example
            tags, _ = self._tags([items[i] for i in group], [results[i] for i in group])
            predicted.append(tags)
            references.append(example["tags"])
        metric.update(predicted, references)
        return metric.compute()

    def answer(self, items: Sequence[Item], results: Sequence[np.ndarray]) -> dict[str, Any]:
        example = items[0].example
        tags, scores = self._tags(items, results)
        spans = example.get("spans") or _joined_spans(example["tokens"])
        text = example.get("text") or "".join(example["tokens"])
        entities = []
        for kind, start, end in entities_of(tags):
            first, last = spans[start][0], spans[end - 1][1]
            entities.append(
                {
                    "type": kind,
                    "text": text[first:last],
                    "start": first,
                    "end": last,
                    "score": float(np.mean(scores[start:end])),
                }
            )
        return {"entities": entities, "tokens": example["tokens"], "tags": tags}

    def _tags(self, items: Sequence[Item], results: Sequence[np.ndarray]) -> tuple[list[str], np.ndarray]:
        """Tag and probability of every token of one example; tokens without an id are O."""
        count = len(items[0].example["tokens"])
        tags, scores = ["O"] * count, np.ones(count)
        for item, logits in zip(items, results, strict=True):
            assert item.encoding is not None
            probabilities = softmax(logits[: len(item.encoding)])
            best = probabilities.argmax(-1)
            previous = None
            for position, word in enumerate(item.encoding.word_ids):
                if word is not None and word != previous:
                    tags[item.start + word] = self.options.labels[best[position]]
                    scores[item.start + word] = probabilities[position, best[position]]
                previous = word
        return tags, scores


def _first_pieces(encoding: Encoding, ids: Sequence[int]) -> list[int]:
    """Label of every position: a word's at its first piece, ``IGNORED`` elsewhere."""
    labels, previous = [], None
    for word in encoding.word_ids:
        labels.append(IGNORED if word is None or word == previous else ids[word])
        previous = word
    return labels


def _joined_spans(tokens: Sequence[str]) -> list[tuple[int, int]]:
    ends = np.cumsum([len(token) for token in tokens]).tolist()
    return [(end - len(token), end) for token, end in zip(tokens, ends, strict=True)]
