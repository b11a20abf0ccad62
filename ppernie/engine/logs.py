"""Where the program's messages go."""

from __future__ import annotations

import logging
from pathlib import Path

_FORMAT = "[%(asctime)s] %(levelname)s: %(message)s"


class _Console(logging.Handler):
    """Standard output, around the progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record))


def log_to_console() -> None:
    """Sends the messages of ``ppernie`` to standard output."""
    handler = _Console()
    handler.setFormatter(logging.Formatter(_FORMAT, "%Y-%m-%d %H:%M:%S"))
    root = logging.getLogger("ppernie")
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False


def log_to_file(path: Path) -> logging.Handler:
    """Appends the messages of ``ppernie`` to a file as well; remove the handler to end it."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter(_FORMAT, "%Y-%m-%d %H:%M:%S"))
    logging.getLogger("ppernie").addHandler(handler)
    return handler
