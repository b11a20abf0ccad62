"""How often each token occurs in a run's data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np

from ppernie.data.corpus.counts import token_counts as corpus_counts
from ppernie.data.readers import read_examples
from ppernie.engine.assemble import corpus_of, open_streams
from ppernie.errors import UserError
from ppernie.tasks.pretraining import PretrainingTask

if TYPE_CHECKING:
    from ppernie.config.sections import Config, Source
    from ppernie.tasks.base import Task


def token_counts(config: Config, task: Task, name: str) -> np.ndarray:
    """int64 [vocab]: occurrences in the inputs that a task makes of ``Data.train`` and ``Data.eval``.

    Args:
        name: of the task.

    Raises:
        UserError: neither is there, one cannot be read, or a corpus is of another tokenizer.
    """
    counts = np.zeros(task.tokenizer.vocab_size, np.int64)
    parts: dict[Literal["train", "eval"], Source | None] = {"train": config.Data.train, "eval": config.Data.eval}
    if not any(parts.values()):
        raise UserError("Data.train and Data.eval are missing: name the data whose tokens are kept")
    for key, part in parts.items():
        if part is None:
            continue
        if part.corpus is not None:
            counts += corpus_counts(corpus_of(config, task, part.corpus), len(counts))
        else:
            for ids in _ids(config, task, name, key, part):
                counts += np.bincount(ids, minlength=len(counts))
    return counts


def _ids(config: Config, task: Task, name: str, key: Literal["train", "eval"], part: Source) -> Iterator[np.ndarray]:
    data = config.Data
    if isinstance(task, PretrainingTask):
        for stream in open_streams(config, task, part, key).values():
            for index in range(len(stream)):
                yield stream.sample(index, task.max_length, np.random.default_rng(0))["input_ids"]
        return
    for example in read_examples(part, root=data.root, fields=data.fields, task=name, purpose="predict"):
        for item in task.expand(example, False):
            batch = task.collate([task.encode(item, (0, 0, 0))])
            yield from (batch[key].flatten() for key in task.id_names)
