"""What a run asks of a model: inputs, objective, metric, answer.

A task never imports paddle on import, so that encoding and decoding work in workers and servers; only ``loss``
runs on tensors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from ppernie.data.collate import pad_rows
from ppernie.errors import UserError

if TYPE_CHECKING:
    import paddle

    from ppernie.data.tokenizers import Encoding, Tokenizer

#: Metrics of which less is better; of all others, more.
LOWER_IS_BETTER = ("loss", "perplexity")

Example = dict[str, Any]
Features = dict[str, Any]
Batch = dict[str, np.ndarray]

# Rows of a label array that carry no label.
IGNORED = -100


class TaskOptions(BaseModel):
    """Base of the options that a task reads from the config's section ``Task``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def reads(self) -> list[str]:
        """Files, or patterns of them, that a run with these options reads."""
        return []


@dataclass
class Item:
    """One model input made of an example, or of a part of it.

    Attributes:
        example: the canonical example it came from.
        label: what the model should say; None at prediction.
        length: tokens, or an estimate of them, by which batches are bucketed.
        encoding: ids and offsets, where making the item needed them already.
        start: where the item begins in its example; 0 for the first of several items.
    """

    example: Example
    label: Any
    length: int
    encoding: Encoding | None = None
    start: int = 0


class Task(ABC):
    """Base of all tasks.

    Args:
        options: an object of the class's ``Options``.
        tokenizer: makes the ids.
        max_length: longest model input in tokens.
    """

    Options: ClassVar[type[TaskOptions]]
    # Names that ``score`` returns; the first picks the best model unless the config names another.
    metric_names: tuple[str, ...]
    # What the total is the sum of: each a mean over its own labelled units, by this factor.
    objectives: Mapping[str, float] = MappingProxyType({"loss": 1.0})
    # Model inputs, in the order of the network's forward.
    input_names: tuple[str, ...] = ("input_ids", "token_type_ids")
    # Named dimensions of the inputs and of the output, for export.
    input_dims: tuple[str, ...] = ("batch", "length")
    output_dims: tuple[str, ...]
    # Whether the task asks the network more than once for what it is scored on, by ``run``.
    generative: ClassVar[bool] = False

    @property
    def id_names(self) -> tuple[str, ...]:
        """The inputs that hold token ids."""
        return tuple(name for name in self.input_names if name.endswith("input_ids"))

    def __init__(self, options: Any, tokenizer: Tokenizer, max_length: int) -> None:
        self.options = options
        self.tokenizer = tokenizer
        self.max_length = max_length

    def adapt(self, arch: Any) -> None:  # noqa: B027 - most tasks have one form of inputs
        """Learns from the network's configuration in which form it takes its inputs, before any are made."""

    def prepare(self, examples: Sequence[Example]) -> None:  # noqa: B027 - most tasks learn nothing here
        """Learns from the training examples what the config leaves open, such as the list of labels."""

    def head(self) -> dict[str, Any]:
        """Arguments of the network's constructor beside its configuration."""
        return {}

    @abstractmethod
    def expand(self, example: Example, labelled: bool) -> list[Item]:
        """Turns a canonical example into model inputs; raises UserError where its label is unknown."""

    def encode(self, item: Item, key: tuple[int, ...]) -> Features:
        """Ids, and labels where the item has one; ``key`` (seed, epoch, item) seeds what is random."""
        encoding = self.encoding(item)
        features: Features = {"input_ids": encoding.ids, "token_type_ids": encoding.type_ids}
        if item.label is not None:
            features["labels"] = item.label
        return features

    def encoding(self, item: Item) -> Encoding:
        """The item's tokens, cut to ``max_length``."""
        if item.encoding is not None:
            return item.encoding
        return self.tokenizer.encode(item.example["text"], item.example.get("text_pair"), max_length=self.max_length)

    def is_cut(self, item: Item) -> bool:
        """Whether part of the item's text does not reach the model."""
        text, pair = item.example["text"], item.example.get("text_pair")
        # A token has at least one character, so most texts need no second look.
        fits = len(text) + len(pair or "") + 3 <= self.max_length
        return not fits and len(self.tokenizer.encode(text, pair)) > self.max_length

    def collate(self, features: Sequence[Features]) -> Batch:
        """Pads features to arrays: ids are int64 [batch, length]."""
        batch = {
            "input_ids": pad_rows([f["input_ids"] for f in features], self.tokenizer.pad_id),
            "token_type_ids": pad_rows([f["token_type_ids"] for f in features], 0),
        }
        if "labels" in features[0]:
            batch["labels"] = self.collate_labels([f["labels"] for f in features], batch["input_ids"].shape[1])
        return batch

    def collate_labels(self, labels: Sequence[Any], length: int) -> np.ndarray:
        """Labels as one int64 array; ``length`` is that of the padded ids."""
        return np.asarray(labels, dtype=np.int64)

    @abstractmethod
    def loss(self, outputs: paddle.Tensor, batch: Mapping[str, paddle.Tensor]) -> paddle.Tensor:
        """Sum of the objective over the batch's labelled units, a scalar."""

    def weight(self, batch: Batch) -> float:
        """Number of labelled units in the batch: the loss of a step is the sum over all its batches by this."""
        return float(batch["labels"].shape[0])

    def losses(self, outputs: Any, batch: Mapping[str, paddle.Tensor]) -> dict[str, paddle.Tensor]:
        """The sums of a batch's objectives over their labelled units."""
        return {"loss": self.loss(outputs, batch)}

    def weights(self, batch: Batch) -> dict[str, float]:
        """The numbers of labelled units of a batch's objectives."""
        return {"loss": self.weight(batch)}

    def run(self, network: Any, batch: Batch) -> np.ndarray:
        """What the network says to a batch, for ``reduce``; the caller has switched gradients off."""
        import paddle

        return network(**{name: paddle.to_tensor(batch[name]) for name in self.input_names}).numpy()

    def reduce(self, outputs: np.ndarray, batch: Batch) -> list[Any]:
        """What evaluation keeps of a batch's outputs, one entry an item."""
        return list(outputs)

    @abstractmethod
    def score(self, items: Sequence[Item], results: Sequence[Any]) -> dict[str, float]:
        """Metrics over a whole evaluation set, as fractions."""

    @abstractmethod
    def answer(self, items: Sequence[Item], results: Sequence[Any]) -> dict[str, Any]:
        """The prediction for one example, from its items' results, as JSON values."""


def where(example: Example) -> str:
    """File and line of an example, for messages."""
    return example.get("where", "input")


def by_example(items: Sequence[Item]) -> list[list[int]]:
    """Indices of each example's items; the items of one example stand together, the first with ``start`` 0."""
    groups: list[list[int]] = []
    for index, item in enumerate(items):
        if item.start == 0:
            groups.append([])
        groups[-1].append(index)
    return groups


def require(example: Example, *names: str) -> None:
    """Raises UserError unless the example has all the fields."""
    missing = [name for name in names if name not in example]
    if missing:
        raise UserError(
            f"{where(example)}: the field {' and '.join(repr(m) for m in missing)} is missing; "
            f"found: {', '.join(sorted(k for k in example if k != 'where')) or 'nothing'}"
        )


def text_length(example: Example, max_length: int) -> int:
    """Characters of a text or a pair, bounded: close enough to tokens for bucketing."""
    return min(len(example["text"]) + len(example.get("text_pair") or ""), max_length)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last dimension."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)
