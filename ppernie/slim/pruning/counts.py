"""How often each token occurs in a run's data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ppernie.data.corpus import open_corpus
from ppernie.data.readers import read_examples
from ppernie.errors import UserError
from ppernie.slim.distillation.texts import TextDistillation
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
    parts = {key: getattr(config.Data, key) for key in ("train", "eval")}
    if not any(parts.values()):
        raise UserError("Data.train and Data.eval are missing: name the data whose tokens are kept")
    for part in filter(None, parts.values()):
        for ids in _ids(config, task, name, part):
            counts += np.bincount(ids, minlength=len(counts))
    return counts


def _ids(config: Config, task: Task, name: str, part: Source) -> Iterator[np.ndarray]:
    data = config.Data
    if part.corpus is not None:
        corpus = open_corpus(Path(data.root or "", part.corpus))
        corpus.check(task.tokenizer)
        yield corpus.tokens
        return
    if isinstance(task, TextDistillation):
        examples = read_examples(
            part, root=data.root, fields=data.fields, task="sequence_classification", purpose="predict"
        )
        for stream in task.example_streams(examples).values():
            for index in range(len(stream)):
                yield stream.sample(index, task.max_length, np.random.default_rng(0))["input_ids"]
        return
    if isinstance(task, PretrainingTask):
        raise UserError(f"Data: {name} reads a folder that ppernie preprocess wrote; name one as corpus")
    for example in read_examples(part, root=data.root, fields=data.fields, task=name, purpose="predict"):
        for item in task.expand(example, False):
            batch = task.collate([task.encode(item, (0, 0, 0))])
            yield from (batch[key].flatten() for key in task.id_names)
