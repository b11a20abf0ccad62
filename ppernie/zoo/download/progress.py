"""How far a download is: a bar on a terminal, lines in the log elsewhere."""

from __future__ import annotations

import logging
import sys
import time

from tqdm import tqdm

_LOG = logging.getLogger("ppernie")
_EVERY = 10.0  # seconds between two lines


class Progress:
    """Of one file.

    Args:
        name: of the file, as shown.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._next_line = time.monotonic() + _EVERY
        self._bar = tqdm(desc=name, unit="B", unit_scale=True, disable=not sys.stderr.isatty())

    def show(self, done: int, total: int | None) -> None:
        """Takes the bytes that are there, and of how many."""
        if not self._bar.disable:
            self._bar.total = total
            self._bar.update(done - self._bar.n)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _EVERY
            of = f" of {total / 1e6:.1f}" if total else ""
            _LOG.info("%s: %.1f%s MB", self._name, done / 1e6, of)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()
