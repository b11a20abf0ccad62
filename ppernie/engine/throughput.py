"""How fast a run goes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ppernie.data.batches import Counts


class Throughput:
    """Sums time and counts of the updates between two log lines."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.updates = 0
        self.reader = self.seconds = self.samples = self.tokens = 0.0

    def start(self) -> None:
        """An update begins with reading."""
        self._began = time.perf_counter()

    def read(self) -> None:
        """Its batches are there."""
        self.reader += time.perf_counter() - self._began

    def stop(self, counts: Sequence[Counts], world: int) -> None:
        """The update is done; each of ``world`` ranks had about so much."""
        self.seconds += time.perf_counter() - self._began
        self.updates += 1
        self.samples += world * sum(count.samples for count in counts)
        self.tokens += world * sum(count.tokens for count in counts)

    def take(self, updates_left: int) -> dict[str, float]:
        """Means since the last call, in seconds, and the rest of the run as ``eta``."""
        cost = self.seconds / self.updates
        record = {
            "reader_cost": self.reader / self.updates,
            "batch_cost": cost,
            "ips": self.samples / self.seconds,
            "tokens_per_second": self.tokens / self.seconds,
            "eta": cost * updates_left,
        }
        self._clear()
        return record
