"""Batches of streams of samples, for runs that are counted in steps.

A batch is a pure function of the seed, the stream, and the shapes of the batches around it, so a run goes on at the
exact sample, on any number of ranks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ppernie.data.batches import Batches, counted
from ppernie.data.permutation import Permutation

if TYPE_CHECKING:
    from ppernie.tasks.base import Batch, Features, Task

# Batches that are sorted together by size: enough to save padding, few enough to keep the order random.
_POOL = 50


class Stream(ABC):
    """Samples of one kind; a batch holds samples of one stream."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def sample(self, index: int, length: int, rng: np.random.Generator) -> Features:
        """A sample of at most ``length`` tokens; what is random about it comes from ``rng``."""

    def sizes(self, indices: np.ndarray, length: int) -> np.ndarray:
        """About how long samples of at most ``length`` tokens are, int [n]; those of like size share a batch.

        By default all are alike.
        """
        return np.full(len(indices), length)

    @abstractmethod
    def collate(self, features: Sequence[Features], length: int) -> Batch:
        """Samples as arrays, named as the network's inputs are, and labels."""


class Shape(NamedTuple):
    """Of a step: samples of a batch over all ranks, tokens of the longest, and rounds, each of a batch a stream."""

    rows: int
    length: int
    rounds: int


class StreamBatches(Batches):
    """Some rounds a step, each of one batch of every stream.

    Args:
        task: counts what is labelled.
        streams: by name.
        shapes: of each step; their number is the run's length.
        seed: of order and samples.
        workers: processes that make batches ahead; 0 makes them in this one.
        rank, world: which part of every batch is this rank's.
    """

    def __init__(
        self,
        task: Task,
        streams: Mapping[str, Stream],
        shapes: Sequence[Shape],
        seed: int,
        workers: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__(task, workers, max(shape.rows for shape in shapes))
        self._streams, self.streams = list(streams.values()), len(streams)
        self.shapes, self.seed = shapes, seed
        self.rank, self.world = rank, world
        # Rows are a stream's samples, numbered through all passes; these are where its batches would end in that order.
        rounds = [shape.rounds for shape in shapes]
        self._borders = np.cumsum([0, *np.repeat([shape.rows for shape in shapes], rounds)])
        # Rounds up to the end of each step.
        self._ends = np.cumsum(rounds)
        self._plans: list[dict[int, np.ndarray]] = [{} for _ in streams]

    def __len__(self) -> int:
        return int(self._ends[-1]) * self.streams

    def ends(self, accumulate_steps: int) -> np.ndarray:
        return self._ends * self.streams

    def make(self, number: int, epoch: int) -> Batch:
        turn, stream = divmod(number, self.streams)
        rows = self._rows(stream, turn)
        own = np.array_split(rows, self.world)[self.rank]
        return self._made(stream, own if len(own) else rows[:1], self._length(turn), len(own))

    def _length(self, turn: int) -> int:
        return self.shapes[int(np.searchsorted(self._ends, turn, "right"))].length

    def _rows(self, stream: int, turn: int) -> np.ndarray:
        """The numbers of the samples of a stream's batch."""
        if turn not in self._plans[stream]:
            self._plans[stream] = self._plan(stream, turn)
        return self._plans[stream][turn]

    def _plan(self, stream: int, turn: int) -> dict[int, np.ndarray]:
        """The rows of a batch and of the others of its pool.

        A pool is up to 50 batches, one after the other, within one pass over the samples. Its rows are sorted by size;
        the batches take theirs from them in random order. A batch across the end of a pass is a pool by itself, so
        that every sample comes once before one comes again.
        """
        samples, start = len(self._streams[stream]), turn // _POOL * _POOL
        borders = self._borders[start : start + _POOL + 1]
        passes = np.stack([borders[:-1], borders[1:] - 1]) // samples
        pool = np.flatnonzero((passes == passes[:, [turn - start]]).all(0))
        rows = np.arange(borders[pool[0]], borders[pool[-1] + 1])
        if len(pool) == 1:
            return {turn: rows}
        indices = Permutation(samples, self.seed, stream, int(rows[0]) // samples)(rows % samples)
        sizes = self._streams[stream].sizes(indices, self._length(start + int(pool[-1])))
        # The last number keeps this apart from what the samples draw.
        order = np.random.default_rng((self.seed, stream, int(rows[0]), 1)).permutation(pool)
        parts = np.split(rows[np.argsort(sizes, kind="stable")], np.cumsum(np.diff(borders)[order])[:-1])
        return dict(zip((start + order).tolist(), parts, strict=True))

    def _made(self, number: int, rows: np.ndarray, length: int, count: int) -> Batch:
        stream = self._streams[number]
        passed, places = np.divmod(rows, len(stream))
        indices = np.empty_like(rows)
        for one in np.unique(passed):
            indices[passed == one] = Permutation(len(stream), self.seed, number, int(one))(places[passed == one])
        features = [
            stream.sample(int(index), length, np.random.default_rng((self.seed, number, int(row))))
            for index, row in zip(indices, rows, strict=True)
        ]
        return counted(self.task, stream.collate(features, length), count)


def evaluation_batches(
    streams: Mapping[str, Stream], length: int, batch_size: int, limit: int | None
) -> Iterator[Batch]:
    """Batches of ``limit`` samples of every stream, spread evenly over it, the same at every call.

    The samples of a stream are in the order of the texts: the first ones would be the opening of one book.
    """
    for number, stream in enumerate(streams.values()):
        count = min(len(stream), limit or len(stream))
        # The middles of so many equal parts.
        indices = (2 * np.arange(count) + 1) * len(stream) // (2 * count)
        for first in range(0, count, batch_size):
            rows = indices[first : first + batch_size].tolist()
            samples = [stream.sample(row, length, np.random.default_rng((0, number, row))) for row in rows]
            yield stream.collate(samples, length)
