"""One download at a time for a file, over threads, processes and ranks."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ppernie.errors import UserError
from ppernie.files import write_file

if TYPE_CHECKING:
    from filelock import BaseFileLock

_LOG = logging.getLogger("ppernie")


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Waits until nobody else holds the lock. The system frees it when its holder dies.

    Raises:
        UserError: the place of the lock is not writable.
    """
    held = _acquire(lock)
    try:
        yield
    finally:
        held.release()


def _acquire(lock: Path) -> BaseFileLock:
    from filelock import FileLock, Timeout

    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock)
        try:
            held.acquire(blocking=False)
        except Timeout:
            _LOG.info("waiting for another process that holds %s", lock)
            held.acquire()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"{lock.parent.parent}: cannot write here ({reason}); set PPERNIE_HOME to another folder"
        ) from error
    return held


@contextmanager
def turn(lock: Path) -> Iterator[None]:
    """``exclusive``, and those who wait for a download that fails fail with its message.

    The one that fails leaves a note. Who finds a note that was not there when it began to wait does not try again;
    a later call, which sees the note from its start, does.
    """
    note = lock.with_suffix(".failed")
    before = _content(note)
    with exclusive(lock):
        after = _content(note)
        if after and after != before:
            raise UserError(after.partition("\n")[2])
        try:
            yield
        except UserError as error:
            with suppress(UserError):  # the first error counts
                write_file(note, f"{uuid.uuid4()}\n{error}")
            raise
        note.unlink(missing_ok=True)


def _content(note: Path) -> str | None:
    try:
        return note.read_text(encoding="utf-8")
    except OSError:
        return None
