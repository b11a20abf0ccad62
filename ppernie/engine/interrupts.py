"""Signals that end a run after the step under way."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class Interrupts:
    """Within this context SIGINT and SIGTERM only set ``pending``; a second one interrupts at once."""

    def __init__(self) -> None:
        self.pending: signal.Signals | None = None
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
        if self.pending is not None:
            raise KeyboardInterrupt
        self.pending = signal.Signals(number)
