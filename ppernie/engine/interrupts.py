"""Signals that end a run after the step under way."""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType

# Of one wish to end, `make` and its process group can each send a signal.
_ONE_WISH_SECONDS = 1.0


class Interrupts:
    """Within this context SIGINT and SIGTERM only set ``pending``; one that comes a second later interrupts at once."""

    def __init__(self) -> None:
        self.pending: signal.Signals | None = None
        self._came = 0.0
        self._previous: dict[signal.Signals, signal.Handlers | int | None] = {}

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._receive)  # type: ignore[assignment]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.pending is None:
            self.pending, self._came = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self._came > _ONE_WISH_SECONDS:
            raise KeyboardInterrupt
