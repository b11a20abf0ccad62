"""One job beside the training, whose error waits for whoever asks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger("ppernie.checkpoints")


class Background:
    """Runs at most one job at a time in a thread."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, job: Callable[[], None]) -> None:
        """Starts a job after the last one has ended. Raises the last one's error in place of that."""
        self.wait()

        def run() -> None:
            try:
                job()
            except BaseException as error:
                self._error = error

        # Not a daemon: the interpreter does not end before the job does.
        self._thread = threading.Thread(target=run, name="checkpoint")
        self._thread.start()

    def check(self) -> None:
        """Raises the error of a job that failed; waits for none."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Waits for the job and raises its error."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Waits for the job; its error is logged, for another one is on its way or nobody asked."""
        try:
            self.wait()
        except Exception as error:
            logger.error("%s", error)
