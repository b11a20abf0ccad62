"""The folder ``checkpoints/`` of a run."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppernie.checkpoints.background import Background
from ppernie.checkpoints.marker import MARKER, Damaged, is_complete
from ppernie.checkpoints.ranks import Ranks
from ppernie.checkpoints.reading import Checkpoint, open_checkpoint
from ppernie.checkpoints.slices import Slice
from ppernie.checkpoints.writing import write_checkpoint
from ppernie.errors import UserError

logger = logging.getLogger("ppernie.checkpoints")

_NAME = re.compile(r"step_(\d{8})")
# The names that writing a checkpoint uses; whatever else lies there is the user's.
_LEAVINGS = re.compile(r"step_\d{8}(\.\w+)?\.tmp")
_ASIDE = ".damaged"


def _own(value: Any) -> Any:
    """What one rank alone agrees on."""
    return value


class Checkpoints:
    """The ``step_XXXXXXXX`` folders of a run. All ranks of a run call ``save`` for the same steps.

    Args:
        folder: made with the first checkpoint.
        keep_last: how many complete checkpoints stay.
        ranks: who writes; by default this process alone.
        topology: degrees of the run, noted in each checkpoint for people to read.
        broadcast: gives all ranks the value of the first.
        any_rank: whether something is so on any rank.
    """

    def __init__(
        self,
        folder: Path,
        keep_last: int,
        ranks: Ranks | None = None,
        topology: Mapping[str, int] | None = None,
        broadcast: Callable[[Any], Any] = _own,
        any_rank: Callable[[bool], bool] = _own,
    ) -> None:
        self.folder = folder
        self.keep_last = keep_last
        self._ranks = ranks or Ranks()
        self._topology = topology or {}
        self._broadcast, self._any_rank = broadcast, any_rank
        self._background = Background()
        self._refused: set[Path] = set()

    def save(self, step: int, slices: Sequence[Slice], state: Mapping[str, Any], beside: bool = False) -> Path:
        """Writes a checkpoint and removes the oldest ones beyond ``keep_last``; one that is complete stays as it is.

        Args:
            slices: what this rank owns; over all ranks, every element of every tensor once.
            state: what the first rank adds; plain values.
            beside: only copies what lies in tensors, once the last save has ended, and leaves the writing to a
                thread. ``check``, ``wait`` and the next ``save`` raise what the thread raised.

        Raises:
            UserError: the disk is full or not writable, or another rank failed; the last checkpoint is untouched.
        """
        self.wait()
        target = self.folder / f"step_{step:08d}"
        if is_complete(target):
            return target
        self._refused.discard(target)
        if beside:
            copies = [item.on_host() for item in slices]
            self._background.start(lambda: self._write(target, copies, state))
        else:
            self._write(target, slices, state)
        return target

    def check(self) -> None:
        """Raises the UserError of a save that has failed beside the training; waits for none."""
        self._background.check()

    def wait(self) -> None:
        """Waits for the save that is under way. Raises its UserError."""
        self._background.wait()

    def close(self) -> None:
        """Waits for the save that is under way; logs its error."""
        self._background.close()

    def complete(self) -> list[tuple[int, Path]]:
        """Steps and folders of the complete checkpoints, oldest first."""
        return [(step, path) for step, path in self._steps() if path not in self._refused and is_complete(path)]

    def latest(self) -> Path | None:
        """The newest complete checkpoint. What a killed save left is removed, what is damaged set aside; both are told.

        Raises:
            UserError: a save beside the training has failed.
        """
        self.wait()
        if self._ranks.first:
            self._tidy()
        found = self.complete()
        return found[-1][1] if found else None

    def restore(self, load: Callable[[Checkpoint], None]) -> Path | None:
        """Has the newest checkpoint loaded that proves whole, and returns its folder; None where there is none.

        Args:
            load: reads what it needs; it may be called again, with an older checkpoint, after it raised ``Damaged``
                on any rank.

        Raises:
            UserError: all checkpoints are damaged; or ``load`` raised another one.
        """
        while (path := self._broadcast(self.latest() if self._ranks.first else None)) is not None:
            damage: Damaged | None = None
            try:
                load(open_checkpoint(path))
            except Damaged as error:
                damage = error
            if not self._any_rank(damage is not None):
                return path
            self._set_aside(path, damage or Damaged(path, "another rank could not read it"))
        if self._refused or list(self.folder.glob(f"*{_ASIDE}")):
            raise UserError(
                f"{self.folder}: every checkpoint is damaged; bring a whole one back from a copy, or remove the "
                f"folders *{_ASIDE} to train anew"
            )
        return None

    def _steps(self) -> list[tuple[int, Path]]:
        if not self.folder.is_dir():
            return []
        found = ((_NAME.fullmatch(path.name), path) for path in self.folder.iterdir())
        return sorted((int(match.group(1)), path) for match, path in found if match)

    def _write(self, target: Path, slices: Sequence[Slice], state: Mapping[str, Any]) -> None:
        write_checkpoint(target, slices, state, self._ranks, self._topology)
        if self._ranks.first:
            for _, old in self.complete()[: -self.keep_last]:
                # The marker goes first: a removal that is cut short leaves nothing that looks whole.
                (old / MARKER).unlink()
                shutil.rmtree(old, ignore_errors=True)

    def _tidy(self) -> None:
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            # Another rank may have begun to write for this start of the run already.
            if _LEAVINGS.fullmatch(path.name) and not path.name.endswith(f".{self._ranks.attempt}.tmp"):
                logger.warning("%s is not complete (the run ended while writing it): removed", path)
                shutil.rmtree(path, ignore_errors=True)
        for _, path in self._steps():
            if not (path / MARKER).exists():
                logger.warning("%s is not complete (the run ended while writing it): removed", path)
                shutil.rmtree(path, ignore_errors=True)
            elif not is_complete(path):
                try:
                    open_checkpoint(path)
                except Damaged as error:
                    self._set_aside(path, error)

    def _set_aside(self, path: Path, error: Damaged) -> None:
        """Damage is not the run's own doing: what is left of the checkpoint may be wanted."""
        self._refused.add(path)
        aside = path.with_name(path.name + _ASIDE)
        logger.warning("%s is damaged (%s): kept as %s, not used", path, error.what, aside.name)
        if self._ranks.first:
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
