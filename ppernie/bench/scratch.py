"""Where benchmarks of the disk write."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ppernie.errors import UserError
from ppernie.files import writing


@contextmanager
def scratch(folder: str | None) -> Iterator[Path]:
    """A folder that is gone afterwards, in the one of ``--folder``; None takes the system's temporary folder.

    Raises:
        UserError: there is no such folder, or it cannot be written to.
    """
    place = Path(folder or tempfile.gettempdir())
    if not place.is_dir():
        raise UserError(f"--folder {place}: no such folder; name one on the disk to measure")
    with writing(place), tempfile.TemporaryDirectory(dir=place) as path:
        yield Path(path)
