"""Checkpoints of a run: written whole, marked complete last, loaded only when complete."""

from __future__ import annotations

import json
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ppernie.errors import UserError
from ppernie.files import new_folder, sync, writing
from ppernie.zoo.weights import write_weights

logger = logging.getLogger("ppernie.checkpoints")

_NAME = re.compile(r"step_(\d{8})")
# The names that writing a checkpoint uses; whatever else lies there is the user's.
_OWN = re.compile(r"step_\d{8}(\.tmp|\.old)?")
_MARKER = "COMPLETE"
_FILES = ("model.safetensors", "optimizer.safetensors", "state.json")


@dataclass
class Checkpoint:
    """What a run needs to go on exactly: weights and moments by dotted name, and the trainer's state."""

    model: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    state: dict[str, Any]


class Checkpoints:
    """The folder ``checkpoints/`` with its ``step_XXXXXXXX`` folders.

    Args:
        folder: made with the first checkpoint.
        keep_last: how many complete checkpoints stay.
    """

    def __init__(self, folder: Path, keep_last: int) -> None:
        self.folder = folder
        self.keep_last = keep_last

    def save(self, step: int, checkpoint: Checkpoint) -> Path:
        """Writes a checkpoint and removes the oldest ones beyond ``keep_last``.

        Raises:
            UserError: the disk is full or not writable; the last checkpoint is untouched.
        """
        target = self.folder / f"step_{step:08d}"
        if is_complete(target):
            return target
        shutil.rmtree(target, ignore_errors=True)
        with new_folder(target) as temporary:
            write_weights(temporary / "model.safetensors", checkpoint.model)
            write_weights(temporary / "optimizer.safetensors", checkpoint.optimizer)
            (temporary / "state.json").write_text(json.dumps(checkpoint.state, indent=1), encoding="utf-8")
            sizes = {name: (temporary / name).stat().st_size for name in _FILES}
        with writing(target):
            (target / _MARKER).write_text(json.dumps(sizes), encoding="utf-8")
            sync(target / _MARKER)
            sync(target)
        for _, old in self.complete()[: -self.keep_last]:
            # The marker goes first: a removal that is cut short leaves nothing that looks whole.
            (old / _MARKER).unlink()
            shutil.rmtree(old, ignore_errors=True)
        return target

    def complete(self) -> list[tuple[int, Path]]:
        """Steps and folders of the complete checkpoints, oldest first."""
        if not self.folder.is_dir():
            return []
        found = [(int(match.group(1)), path) for path in self.folder.iterdir() if (match := _NAME.fullmatch(path.name))]
        return sorted((step, path) for step, path in found if is_complete(path))

    def latest(self) -> Path | None:
        """The newest complete checkpoint; incomplete ones are reported and removed."""
        if self.folder.is_dir():
            for path in sorted(self.folder.iterdir()):
                if _OWN.fullmatch(path.name) and not is_complete(path):
                    logger.warning("%s is not complete (the run ended while writing it): removed", path)
                    shutil.rmtree(path, ignore_errors=True)
        found = self.complete()
        return found[-1][1] if found else None


def is_complete(path: Path) -> bool:
    """Whether the marker is there and every file has the size it had when the marker was written."""
    try:
        sizes = json.loads((path / _MARKER).read_text(encoding="utf-8"))
        return all((path / name).stat().st_size == sizes[name] for name in _FILES)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint folder. Raises UserError where it is absent, incomplete or damaged."""
    if not path.is_dir():
        raise UserError(f"{path}: no such checkpoint folder; --resume takes 'auto' or a step_XXXXXXXX folder")
    if not is_complete(path):
        raise UserError(f"{path}: not a complete checkpoint; resume from another one, or use --resume auto")
    try:
        return Checkpoint(
            load_file(path / "model.safetensors"),
            load_file(path / "optimizer.safetensors"),
            json.loads((path / "state.json").read_text(encoding="utf-8")),
        )
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path}: damaged ({error}); resume from another checkpoint") from error
