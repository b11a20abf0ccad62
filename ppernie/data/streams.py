"""Batches of streams of samples, for runs that are counted in steps.

A batch is a pure function of the seed, the stream and the rows before it, so a run goes on at the exact sample, on any
number of ranks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ppernie.data.batches import Batches, counted

if TYPE_CHECKING:
    from ppernie.tasks.base import Batch, Features, Task


class Stream(ABC):
    """Samples of one kind; a batch holds samples of one stream."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def sample(self, index: int, length: int, rng: np.random.Generator) -> Features:
        """A sample of at most ``length`` tokens; what is random about it comes from ``rng``."""

    @abstractmethod
    def collate(self, features: Sequence[Features], length: int) -> Batch:
        """Samples as arrays, named as the network's inputs are, and labels."""


class Shape(NamedTuple):
    """Of the batches of a step: samples over all ranks, and tokens of the longest."""

    rows: int
    length: int


class StreamBatches(Batches):
    """``accumulate_steps`` rounds a step, each of one batch of every stream.

    Args:
        task: counts what is labelled.
        streams: by name.
        shapes: of the batches of each step; their number is the run's length.
        accumulate_steps: rounds in a step.
        seed: of order and samples.
        workers: processes that make batches ahead; 0 makes them in this one.
        rank, world: which part of every batch is this rank's.
    """

    def __init__(
        self,
        task: Task,
        streams: Mapping[str, Stream],
        shapes: Sequence[Shape],
        accumulate_steps: int,
        seed: int,
        workers: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__(task, workers, max(shape.rows for shape in shapes))
        self._streams, self.streams = list(streams.values()), len(streams)
        self.shapes, self.rounds, self.seed = shapes, accumulate_steps, seed
        self.rank, self.world = rank, world
        self._before = np.cumsum([0] + [shape.rows * accumulate_steps for shape in shapes])

    def __len__(self) -> int:
        return len(self.shapes) * self.rounds * self.streams

    def make(self, number: int, epoch: int) -> Batch:
        turn, stream = divmod(number, self.streams)
        step, turn = divmod(turn, self.rounds)
        rows, length = self.shapes[step]
        first = int(self._before[step]) + turn * rows
        own = np.array_split(np.arange(first, first + rows), self.world)[self.rank]
        return self._made(stream, own if len(own) else np.asarray([first]), length, len(own))

    def _made(self, number: int, rows: np.ndarray, length: int, count: int) -> Batch:
        stream = self._streams[number]
        features = []
        for row in map(int, rows):
            passed, position = divmod(row, len(stream))
            index = int(_order(len(stream), self.seed, number, passed)[position])
            features.append(stream.sample(index, length, np.random.default_rng((self.seed, number, row))))
        return counted(self.task, stream.collate(features, length), count)


def evaluation_batches(
    streams: Mapping[str, Stream], length: int, batch_size: int, limit: int | None
) -> Iterator[Batch]:
    """Batches of the first ``limit`` samples of every stream, the same at every call."""
    for number, stream in enumerate(streams.values()):
        count = min(len(stream), limit or len(stream))
        for first in range(0, count, batch_size):
            rows = range(first, min(first + batch_size, count))
            samples = [stream.sample(row, length, np.random.default_rng((0, number, row))) for row in rows]
            yield stream.collate(samples, length)


@lru_cache(maxsize=16)
def _order(samples: int, seed: int, stream: int, passed: int) -> Any:
    return np.random.default_rng((seed, stream, passed)).permutation(samples)
