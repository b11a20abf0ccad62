"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ppernie.errors import UserError

# The system refuses to write at this place, whatever the run does.
_REFUSALS = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EFBIG,
    errno.ENAMETOOLONG,
)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary sibling to write into; on success it is synced and takes the place of ``target``.

    On failure the sibling is removed and ``target`` is as it was. An old ``target`` stands aside as
    ``<name>.old`` while the new one is renamed; ``recover_folder`` puts it back after a kill between the two.

    Raises:
        UserError: the disk is full or the place is not writable.
    """
    temporary = target.with_name(f"{target.name}.tmp")
    with writing(target):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for path in [*temporary.rglob("*"), temporary]:
                sync(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        old = target.with_name(f"{target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        temporary.rename(target)
        sync(target.parent)
        shutil.rmtree(old, ignore_errors=True)


def recover_folder(target: Path) -> None:
    """Undoes a ``new_folder`` that was killed half-way."""
    old = target.with_name(f"{target.name}.old")
    if old.exists() and not target.exists():
        old.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(target.with_name(f"{target.name}.tmp"), ignore_errors=True)


def link_folder(source: Path, target: Path) -> None:
    """A second folder of the same files, there whole or not at all; on one file system their bytes are there once.

    Raises:
        UserError: as ``new_folder``.
    """
    with new_folder(target) as temporary:
        shutil.copytree(source, temporary, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def write_file(target: Path, text: str) -> None:
    """Replaces a text file in one step."""
    temporary = target.with_name(f"{target.name}.tmp")
    with writing(target):
        temporary.write_text(text, encoding="utf-8")
        sync(temporary)
        temporary.replace(target)


def check_space(target: Path, nbytes: int) -> None:
    """Raises UserError where the disk on which ``target`` is to lie, in a folder that is there, lacks this room."""
    free = shutil.disk_usage(target.parent).free
    if free < nbytes:
        raise UserError(
            f"{target}: the disk is full: {nbytes} more bytes are needed and {free} are free; free some space and "
            "start again"
        )


def sync(path: Path) -> None:
    """Waits until the file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def take_lock(file: Path, refusal: str) -> IO[str]:
    """Takes a folder for this process until the returned file is closed; ``file`` is made in it.

    Args:
        refusal: what to tell where another process has it, with ``{owner}`` for that one's number.

    Raises:
        UserError: another process has it.
    """
    lock = open(file, "a+", encoding="utf-8")  # noqa: SIM115 - held until it is closed
    try:
        # Unlike flock, this is not inherited: workers that outlive a killed run for a moment do not hold it.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise UserError(f"{file.parent}: {refusal.format(owner=owner)}") from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turns the system's refusals to write into UserErrors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"{target}: the disk is full; free some space and start again") from error
        if error.errno in _REFUSALS:
            raise UserError(f"{target}: cannot write here ({error.strerror}); choose another folder") from error
        raise
