"""A few real inputs of a config's data, without labels, for what is measured on such."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ppernie.data.readers import read_examples

if TYPE_CHECKING:
    from ppernie.config.sections import DataSection, Source
    from ppernie.tasks.base import Item, Task


def sample_items(task: Task, name: str, source: Source, data: DataSection, limit: int) -> list[Item]:
    """The first inputs of a source, at most ``limit``.

    Args:
        name: the task's.

    Raises:
        UserError: the source cannot be read.
    """
    few = source.model_copy(update={"limit": min(limit, source.limit or limit)})
    examples = read_examples(few, root=data.root, fields=data.fields, task=name, purpose="predict")
    return [item for example in examples for item in task.expand(example, labelled=False)][:limit]
