"""How long each rank works by itself in an update, so that a slow one is found while the others wait for it."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

import paddle

if TYPE_CHECKING:
    from ppernie.parallel.ranks import Ranks

# A rank that takes this many times the median, and this many seconds longer, holds the others up.
_FACTOR = 1.5
_SECONDS = 0.05


class Straggler(NamedTuple):
    """A rank that holds the others up: its seconds of work in an update, and the median over all ranks."""

    rank: int
    seconds: float
    median: float


class Pace:
    """Adds up the time between ``begin`` and ``end``, in which a rank waits for no other.

    Ranks that share layers or stages wait for each other within it, and are slow together.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._seconds, self._updates, self._began = 0.0, 0, 0.0
        # One rank alone need not know, and a CPU works when it is told to.
        self._is_exact = ranks.topology.world == 1 or paddle.device.get_device() == "cpu"

    def begin(self) -> None:
        """The rank goes on by itself."""
        self._began = time.perf_counter()

    def end(self) -> None:
        """It comes to where ranks meet."""
        if not self._is_exact:
            paddle.device.synchronize()
        self._seconds += time.perf_counter() - self._began

    def update(self) -> None:
        """An update is done."""
        self._updates += 1

    def stragglers(self) -> list[Straggler]:
        """The slow ranks since the last call, which all ranks make together."""
        here = self._seconds / max(self._updates, 1)
        self._seconds, self._updates = 0.0, 0
        topology = self._ranks.topology
        own = [here if rank == topology.rank else 0.0 for rank in range(topology.world)]
        means = self._ranks.all_sum(own, over="all")
        median = statistics.median_low(means)
        slow = [rank for rank, mean in enumerate(means) if mean > max(_FACTOR * median, median + _SECONDS)]
        return [Straggler(rank, means[rank], median) for rank in slow]
