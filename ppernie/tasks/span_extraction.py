"""The stretch of a text that answers a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from ppernie.errors import UserError
from ppernie.tasks.base import Example, Item, Task, TaskOptions, by_example, require, where
from ppernie.tasks.metrics.spans import SpanScore

if TYPE_CHECKING:
    import paddle

    from ppernie.data.tokenizers import Encoding


class Options(TaskOptions):
    doc_stride: int = Field(default=128, ge=1, description="tokens that neighbouring windows of a long text share")
    max_question_length: int = Field(default=64, ge=1, description="characters of the question that are used")
    max_answer_length: int = Field(default=50, ge=1, description="longest answer in tokens")
    style: Literal["cmrc", "squad"] = Field(
        default="cmrc", description="whose exact match and F1: CMRC 2018's for Chinese, SQuAD's for English"
    )


class SpanExtraction(Task):
    """Example: ``question``, ``context`` and ``answers``, a list of ``{"text", "start"}``.

    A long context makes several items whose windows overlap; the best span over all of them is the answer.
    """

    Options = Options
    metric_names = ("f1", "exact_match")
    output_dims = ("batch", "length", "start_end")

    def expand(self, example: Example, labelled: bool) -> list[Item]:
        require(example, "question", "context", *(["answers"] if labelled else []))
        try:
            encoding = self.tokenizer.encode(
                example["question"][: self.options.max_question_length],
                example["context"],
                max_length=self.max_length,
                truncate="second",
                stride=self.options.doc_stride,
            )
        except UserError as error:
            raise UserError(
                f"{where(example)}: {error} (Data.max_length, Task.doc_stride, Task.max_question_length)"
            ) from error
        items = []
        for start, window in enumerate([encoding, *encoding.overflowing]):
            label = _answer_tokens(window, example["answers"]) if labelled else None
            items.append(Item(example, label, len(window), window, start))
        return items

    def is_cut(self, item: Item) -> bool:
        return len(item.example["question"]) > self.options.max_question_length

    def loss(self, outputs: paddle.Tensor, batch: Mapping[str, paddle.Tensor]) -> paddle.Tensor:
        from paddle.nn import functional as F

        labels = batch["labels"]
        start = F.cross_entropy(outputs[:, :, 0], labels[:, 0], reduction="sum")
        end = F.cross_entropy(outputs[:, :, 1], labels[:, 1], reduction="sum")
        return (start + end) / 2

    def score(self, items: Sequence[Item], results: Sequence[np.ndarray]) -> dict[str, float]:
        metric = SpanScore(style=self.options.style)
        for group in by_example(items):
            found = self.answer([items[i] for i in group], [results[i] for i in group])
            metric.update([found["answer"]], [[a["text"] for a in items[group[0]].example["answers"]]])
        return metric.compute()

    def answer(self, items: Sequence[Item], results: Sequence[np.ndarray]) -> dict[str, Any]:
        spans = [
            _best_span(item.encoding, logits, self.options.max_answer_length)
            for item, logits in zip(items, results, strict=True)
            if item.encoding is not None
        ]
        score, start, end = max(spans)
        context = items[0].example["context"]
        return {"answer": context[start:end], "start": start, "end": end, "score": score}


def _context(window: Encoding) -> np.ndarray:
    """Which positions belong to the context, bool [length]."""
    return np.asarray([sequence == 1 for sequence in window.sequence_ids])


def _answer_tokens(window: Encoding, answers: Sequence[Mapping[str, Any]]) -> list[int]:
    """First and last token of the first answer, or (0, 0), the [CLS], where the window does not hold it whole."""
    if not answers:
        return [0, 0]
    first = answers[0]["start"]
    last = first + len(answers[0]["text"]) - 1
    inside = _context(window)
    offsets = np.asarray(window.offsets)
    starts = np.flatnonzero(inside & (offsets[:, 0] <= first) & (first < offsets[:, 1]))
    ends = np.flatnonzero(inside & (offsets[:, 0] <= last) & (last < offsets[:, 1]))
    return [int(starts[0]), int(ends[-1])] if len(starts) and len(ends) else [0, 0]


def _best_span(window: Encoding, logits: np.ndarray, longest: int) -> tuple[float, int, int]:
    """Highest sum of start and end logits, as (sum, first character, end character)."""
    positions = np.flatnonzero(_context(window))
    if not len(positions):
        # A context without a token makes one window only.
        return 0.0, 0, 0
    scores = logits[positions, 0][:, None] + logits[positions, 1][None, :]
    allowed = np.triu(np.ones_like(scores, dtype=bool)) & ~np.triu(np.ones_like(scores, dtype=bool), longest)
    best = int(np.where(allowed, scores, -np.inf).argmax())
    start, end = (int(positions[i]) for i in divmod(best, len(positions)))
    return float(logits[start, 0] + logits[end, 1]), window.offsets[start][0], window.offsets[end][1]
