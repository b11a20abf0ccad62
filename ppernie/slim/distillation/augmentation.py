"""Other words in training texts, drawn anew each time a text is read.

What is drawn depends on the key alone (seed, epoch and example), so a resumed run reads what the whole one read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ppernie.errors import UserError
from ppernie.tasks.base import Example, Item

if TYPE_CHECKING:
    from ppernie.slim.distillation.settings import Augmentation

# Tasks whose examples keep their labels when words of their texts change.
_TASKS = ("sequence_classification", "cross_similarity", "distillation")


class Place(NamedTuple):
    """A word of a text, by its characters, and what may stand there in its place."""

    start: int
    end: int
    words: Sequence[str]


#: From a text to the words that may be replaced, in their order.
Chooser = Callable[[str], Sequence[Place]]


class Augmenter:
    """Replaces words of examples.

    Args:
        task: the task's name.
        chooser: says what can stand where.

    Raises:
        UserError: the task's labels belong to single words or places.
    """

    def __init__(self, section: Augmentation, task: str, chooser: Chooser) -> None:
        if task not in _TASKS:
            raise UserError(
                f"Slim.distillation.augmentation: changes words, and the examples of {task} depend on them; it is for "
                f"{', '.join(_TASKS)}"
            )
        self._section, self._chooser = section, chooser

    def __call__(self, example: Example, rng: np.random.Generator) -> Example:
        """The example, or one with other words; what else it holds stays."""
        if rng.random() >= self._section.share:
            return example
        texts = {name: example[name] for name in ("text", "text_pair") if example.get(name)}
        return example | {name: self._replaced(text, rng) for name, text in texts.items()}

    def _replaced(self, text: str, rng: np.random.Generator) -> str:
        parts, end = [], 0
        for place in self._chooser(text):
            if rng.random() < self._section.rate:
                parts += [text[end : place.start], place.words[int(rng.integers(len(place.words)))]]
                end = place.end
        return "".join([*parts, text[end:]])


@dataclass
class Augmented(Item):
    """An item to learn from, whose words are others each time it is read."""

    augmenter: Augmenter | None = None

    def draw(self, key: tuple[int, ...]) -> Item:
        """The item for a key (seed, epoch, number)."""
        assert self.augmenter is not None
        # The last number keeps this apart from what the task draws.
        example = self.augmenter(self.example, np.random.default_rng((*key, 1)))
        return Item(example, self.label, self.length, start=self.start)


def augmented(items: Sequence[Item], augmenter: Augmenter) -> list[Item]:
    """The items of a training set, from which other words are read each time."""
    return [Augmented(**vars(item), augmenter=augmenter) for item in items]


def texts_of(examples: Sequence[dict[str, Any]]) -> list[str]:
    """All texts of examples, each once."""
    names = ("text", "text_pair")
    return list(dict.fromkeys(example[name] for example in examples for name in names if example.get(name)))
