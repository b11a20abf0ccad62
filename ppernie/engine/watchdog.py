"""A watch over the updates: one that hangs is reported, with the rank, the step and where it stands."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from types import TracebackType

logger = logging.getLogger("ppernie")


class Watchdog:
    """Within this context an update that lasts longer than ``limit`` seconds is reported, and again at twice the time.

    It only tells: a collective that another rank never joins is ended by the launcher, or by who reads the report.

    Args:
        rank: of this process.
        limit: seconds; None watches nothing.
    """

    def __init__(self, rank: int, limit: float | None) -> None:
        self._rank, self._limit = rank, limit
        self._began, self._step = time.monotonic(), 0
        self._watched = threading.get_ident()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def step(self, number: int) -> None:
        """An update begins, and the one before it has ended."""
        self._began, self._step = time.monotonic(), number

    def __enter__(self) -> Watchdog:
        self._began = time.monotonic()
        if self._limit is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        assert self._limit is not None
        reported, patience = -1, self._limit
        while not self._end.wait(min(self._limit / 4, 10.0)):
            step, seconds = self._step, time.monotonic() - self._began
            if step != reported:
                patience = self._limit
            if seconds > patience:
                reported, patience = step, 2 * seconds
                frame = sys._current_frames().get(self._watched)
                place = "".join(traceback.format_stack(frame)) if frame else ""
                logger.warning("rank %d has been in step %d for %.0f s:\n%s", self._rank, step, seconds, place)
