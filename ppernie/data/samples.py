"""A few real inputs of a config's data, without labels, for what is measured on such."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from ppernie.data.readers import read_examples

if TYPE_CHECKING:
    from ppernie.config.sections import DataSection, Source
    from ppernie.tasks.base import Item, Task

T = TypeVar("T")


def sample_items(task: Task, name: str, source: Source, data: DataSection, limit: int) -> list[Item]:
    """Inputs of a source, at most ``limit``, evenly from all over it: data is often sorted by answer.

    Args:
        name: the task's.

    Raises:
        UserError: the source cannot be read.
    """
    examples = read_examples(source, root=data.root, fields=data.fields, task=name, purpose="predict")
    items = [item for example in _spread(examples, limit) for item in task.expand(example, labelled=False)]
    return _spread(items, limit)


def _spread(things: Sequence[T], count: int) -> list[T]:
    """So many of them with equal distances, the first among them; all where they are fewer."""
    count = min(count, len(things))
    return [things[number * len(things) // count] for number in range(count)]
