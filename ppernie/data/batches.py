"""Batches of a training set, each a pure function of seed, epoch and number.

Nothing about a position is hidden in an iterator: (epoch, number) says it all, so a run goes on at the exact batch.
"""

from __future__ import annotations

import os
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ppernie.errors import UserError

if TYPE_CHECKING:
    import paddle

    from ppernie.tasks.base import Batch, Item, Task

# Batches that are sorted together by length: enough to save padding, few enough to keep the order random.
_POOL = 50
# In place of a batch.
_ERROR = "error"


def plan_epoch(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Batches of one epoch as arrays of indices.

    The order is random; items of like length share a batch within pools of ``50 * batch_size``.

    Args:
        lengths: int [items], tokens of each item.

    Returns:
        ``ceil(items / batch_size)`` arrays; every index occurs once.
    """
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    batches: list[np.ndarray] = []
    for start in range(0, len(order), _POOL * batch_size):
        pool = order[start : start + _POOL * batch_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


class Counts(NamedTuple):
    """How much a batch holds: samples, tokens without padding, and labelled units of each of the task's objectives."""

    samples: float
    tokens: float
    weights: tuple[float, ...]


class Batches(ABC):
    """The training set as numbered batches, each a pure function of its number and the epoch.

    Args:
        task: whose the batches are.
        workers: processes that make batches ahead; 0 makes them in this one.
        batch_size: samples of a batch over all ranks, the most there are.

    Attributes:
        streams: kinds of batches, of which every step takes equally many, in turn.
    """

    streams = 1

    def __init__(self, task: Task, workers: int, batch_size: int) -> None:
        self.task, self.workers, self.batch_size = task, workers, batch_size

    @abstractmethod
    def __len__(self) -> int:
        """Batches in an epoch."""

    @abstractmethod
    def make(self, number: int, epoch: int) -> Batch:
        """This rank's part of a batch, with its ``Counts`` as the array ``counts``."""

    def ends(self, accumulate_steps: int) -> np.ndarray:
        """int64 [steps], the batches of an epoch that each step and those before it take."""
        return np.append(np.arange(accumulate_steps, len(self), accumulate_steps), len(self))

    def iterate(self, epoch: int, start: int = 0) -> Iterator[tuple[dict[str, paddle.Tensor], Counts]]:
        """Batches ``start``, ``start + 1``, ... of an epoch, as tensors on the current device."""
        from paddle.io import DataLoader

        # Paddle's annotations know neither data sets by protocol nor entries that are whole batches.
        whole: Any = {"dataset": _EpochBatches(self, epoch, start), "batch_size": None, "collate_fn": _unchanged}
        for batch in DataLoader(**whole, num_workers=self.workers, worker_init_fn=_leave_process_group):
            if _ERROR in batch:
                raise UserError(bytes(batch[_ERROR].numpy()).decode())
            samples, tokens, *weights = batch.pop("counts").tolist()
            yield batch, Counts(samples, tokens, tuple(weights))


class TrainingBatches(Batches):
    """Batches of a list of items, in epochs.

    Args:
        task: encodes and collates.
        items: what the examples expanded to.
        batch_size: items in a batch on one rank.
        seed: of order and masks.
        workers: as of ``Batches``.
        rank, world: which part of every batch is this rank's; all parts together are the batch of one rank with
            ``world`` times the size.
    """

    def __init__(
        self,
        task: Task,
        items: Sequence[Item],
        batch_size: int,
        seed: int,
        workers: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__(task, workers, batch_size * world)
        self.items, self.seed = items, seed
        self.rank, self.world = rank, world
        self._lengths = np.asarray([item.length for item in items])
        self._plan: tuple[int, list[np.ndarray]] = (-1, [])

    def __len__(self) -> int:
        return -(-len(self.items) // self.batch_size)

    def iterate(self, epoch: int, start: int = 0) -> Iterator[tuple[dict[str, paddle.Tensor], Counts]]:
        self._planned(epoch)  # once, for all the workers that are forked after it
        return super().iterate(epoch, start)

    def make(self, number: int, epoch: int) -> Batch:
        """A rank for which nothing is left gets an item whose counts are 0, since all ranks compute together."""
        indices = self._planned(epoch)[number]
        own = np.array_split(indices, self.world)[self.rank]
        features = [
            self.task.encode(self.items[i], (self.seed, epoch, int(i))) for i in (own if len(own) else indices[:1])
        ]
        return counted(self.task, self.task.collate(features), len(own))

    def _planned(self, epoch: int) -> list[np.ndarray]:
        if self._plan[0] != epoch:
            self._plan = (epoch, plan_epoch(self._lengths, self.batch_size, self.seed, epoch))
        return self._plan[1]


def counted(task: Task, batch: Batch, samples: int) -> Batch:
    """Adds to a batch its ``Counts``, all 0 where none of its samples is this rank's."""
    tokens = sum(int((batch[name] != task.tokenizer.pad_id).sum()) for name in task.id_names if name in batch)
    weights = task.weights(batch)
    counts = [samples, tokens, *(weights.get(name, 0.0) for name in task.objectives)]
    batch["counts"] = np.asarray(counts, dtype=np.float64) * (samples > 0)
    return batch


class _EpochBatches:
    """The map-style data set whose entries are whole batches."""

    def __init__(self, batches: Batches, epoch: int, start: int) -> None:
        self.batches, self.epoch, self.start = batches, epoch, start

    def __len__(self) -> int:
        return len(self.batches) - self.start

    def __getitem__(self, number: int) -> Batch:
        """The batch, or the text of the error that making it raised: for one, Paddle's readers wait for ever."""
        try:
            return self.batches.make(self.start + number, self.epoch)
        except UserError as error:
            told = str(error)
        except Exception:
            told = f"batch {self.start + number} cannot be made:\n{traceback.format_exc()}"
        return {_ERROR: np.frombuffer(told.encode(), np.uint8)}


def _leave_process_group(worker: int) -> None:
    """A signal to the run's process group, from a terminal or a scheduler, is for the run alone to handle."""
    os.setpgrp()


def _unchanged(batch: Any) -> Any:
    return batch


def evaluation_batches(
    task: Task, items: Sequence[Item], batch_size: int, numbers: Sequence[int] | None = None
) -> Iterator[tuple[np.ndarray, Batch]]:
    """All items once, longest first, as (indices, batch): padding is least, and memory peaks at the start.

    Args:
        numbers: of the items, which seed what is random of them; by default they count from 0.
    """
    numbers = range(len(items)) if numbers is None else numbers
    order = np.argsort([-item.length for item in items], kind="stable")
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        yield indices, task.collate([task.encode(items[i], (0, 0, numbers[i])) for i in indices])


def batches_by_length(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Numbers of rows of like length, longest first, in batches of at most ``tokens``, padding included.

    A row that is longer is a batch of its own.
    """
    order = np.argsort(lengths, kind="stable")[::-1].tolist()
    while order:
        count = max(tokens // max(lengths[order[0]], 1), 1)
        yield order[:count]
        order = order[count:]
