"""How the ranks of a run write one checkpoint together.

They meet through notes in the temporary folder, on the file system that they share, since no collective may run in the
thread that saves beside the training's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ppernie.checkpoints.marker import is_complete
from ppernie.errors import UserError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.5


@dataclass(frozen=True)
class Ranks:
    """Who writes.

    Attributes:
        rank: this process, from 0.
        world: how many processes there are.
        attempt: the same for all processes of one start of a run, and for no other start: what a dead start left, or
            one that is not quite dead still writes, is never taken for this one's.
        patience: seconds that a rank waits for others after it has written.
    """

    rank: int = 0
    world: int = 1
    attempt: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    patience: float = 1800.0

    @property
    def first(self) -> bool:
        """Whether this is the rank that completes checkpoints, and removes them."""
        return self.rank == 0


def leave_done(folder: Path, ranks: Ranks, files: dict[str, dict[str, Any]]) -> None:
    """Tells the first rank that this one's files are on the disk."""
    _leave(folder / f"rank_{ranks.rank:05d}.done", json.dumps(files))


def leave_failed(folder: Path, ranks: Ranks, error: BaseException) -> None:
    """Tells the others, as far as the disk allows, that they need not wait; also those that have not come yet."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        _leave(folder / f"rank_{ranks.rank:05d}.failed", f"rank {ranks.rank}: {error or type(error).__name__}")


def take_done(folder: Path, target: Path, ranks: Ranks) -> dict[str, dict[str, Any]]:
    """Waits for all ranks and returns what they say of their files; the notes are removed.

    Raises:
        FileNotFoundError: the folder has vanished.
        UserError: a rank failed, or did not answer in time.
    """
    notes = [folder / f"rank_{rank:05d}.done" for rank in range(ranks.world)]

    def all_there() -> bool:
        _check_failed(folder, target)
        # Where its own note is gone, the folder is, and nobody will come.
        notes[ranks.rank].stat()
        return all(note.exists() for note in notes)

    if not _wait(all_there, ranks.patience):
        missing = [rank for rank, note in enumerate(notes) if not note.exists()]
        raise UserError(
            f"{target}: rank {', '.join(map(str, missing))} wrote nothing within {ranks.patience:g} s; look into its "
            "log and whether all ranks share this file system, then go on with --resume auto"
        )
    files: dict[str, dict[str, Any]] = {}
    for note in notes:
        files |= json.loads(note.read_text(encoding="utf-8"))
        note.unlink()
    return files


def wait_for_marker(folder: Path, target: Path, ranks: Ranks) -> None:
    """Waits until the first rank has marked the checkpoint complete.

    Raises:
        UserError: a rank failed, or it took too long.
    """

    def marked() -> bool:
        _check_failed(folder, target)
        return is_complete(target)

    if not _wait(marked, ranks.patience):
        raise UserError(f"{target}: rank 0 did not complete it within {ranks.patience:g} s; look into its log")


def _check_failed(folder: Path, target: Path) -> None:
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:  # for the others, because the first has just renamed it
        return
    for name in names:
        if name.endswith(".failed"):
            raise UserError(f"{target}: could not be written; {(folder / name).read_text(encoding='utf-8')}")


def _leave(path: Path, text: str) -> None:
    # Whole or not at all, for a reader that does not wait; it need not outlive this run, so nothing is synced.
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _wait(happened: Callable[[], bool], patience: float) -> bool:
    pause, deadline = _FIRST_PAUSE, time.monotonic() + patience
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return True
