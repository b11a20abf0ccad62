"""The folder of a run: whose it is, and what lies where."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ppernie.config.keys import known_keys
from ppernie.config.settings import KeyPath, dotted
from ppernie.config.yaml12 import parse_yaml
from ppernie.errors import UserError
from ppernie.files import recover_folder, take_lock, write_file, writing

if TYPE_CHECKING:
    from ppernie.config.sections import Config

# What a resumed run may change: nothing of it alters the mathematics.
_FREE = {
    ("Global", "output_dir"),
    ("Global", "device"),
    ("Global", "threads"),
    ("Global", "pretrained_model"),
    ("Distributed",),
    ("Data", "root"),
    ("Data", "workers"),
    # Of one rank; the checkpoint knows the size over all of them.
    ("Train", "batch_size"),
    ("Train", "log_every"),
    ("Train", "save_every"),
    ("Train", "keep_last"),
    ("Train", "async_save"),
    ("Train", "hang_after"),
    ("Eval", "batch_size"),
    ("Export",),
}

_BUSY = "another run (process {owner}) is writing here; wait for it or choose another Global.output_dir"


class OutputFolder:
    """``Global.output_dir``, locked for one run at a time.

    Args:
        path: the folder; made where it is absent.
        config: the run's config.
        resume: whether a run that is there already is to go on.
        leader: whether this process claims the folder, for all ranks of the run.

    Raises:
        UserError: the folder cannot be written, another run is using it, or it holds another run.
    """

    def __init__(self, path: Path, config: Config, resume: bool, leader: bool = True) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.best_model = path / "best_model"
        self.results = path / "train_results.json"
        self._lock: IO[str] | None = None
        if not leader:
            return
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            self._lock = take_lock(path / ".lock", _BUSY)
        recover_folder(self.best_model)
        self._claim(config, resume)

    def _claim(self, config: Config, resume: bool) -> None:
        path = self.path / "config.yaml"
        started = self.results.exists() or (self.checkpoints.exists() and any(self.checkpoints.iterdir()))
        if started and not resume:
            raise UserError(
                f"{self.path}: holds a run already; add --resume auto to go on with it, or choose another "
                "Global.output_dir (or remove this one) to start anew"
            )
        if started and path.exists():
            stored, _ = parse_yaml(path.read_text(encoding="utf-8"), str(path))
            differing = _differences(stored, config.resolved(), known_keys(type(config)))
            if differing:
                raise UserError(
                    f"{self.path}: belongs to another config, so it cannot be resumed with this one. Differing: "
                    + "; ".join(differing)
                    + ". Use that config, or another Global.output_dir"
                )
        if not started:
            shutil.rmtree(self.path / "vdl", ignore_errors=True)
            for name in ("train.log", "train_log.jsonl"):
                (self.path / name).unlink(missing_ok=True)
        from ppernie.config import dump_config

        write_file(path, dump_config(config))

    def close(self) -> None:
        """Lets the next run in."""
        if self._lock is not None:
            self._lock.close()


def _differences(stored: Any, current: Any, known: Mapping[KeyPath, FieldInfo], path: KeyPath = ()) -> list[str]:
    if path in _FREE:
        return []
    if isinstance(stored, dict) and isinstance(current, dict):
        # A key that the version of then did not know had no other value than its default.
        stored = {key: _default(known.get((*path, key))) for key in current if key not in stored} | stored
        return [
            line for key, value in stored.items() for line in _differences(value, current.get(key), known, (*path, key))
        ]
    return [] if stored == current else [f"{dotted(path)} was {stored!r}, is {current!r}"]


def _default(field: FieldInfo | None) -> Any:
    default = None if field is None or field.is_required() else field.get_default(call_default_factory=True)
    return default.model_dump(mode="json") if isinstance(default, BaseModel) else default
