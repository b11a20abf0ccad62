"""The folder of an experiment: whose it is, and one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ppernie.config.yaml12 import dump_yaml, parse_yaml
from ppernie.errors import UserError
from ppernie.experiments.sections import Experiment
from ppernie.files import take_lock, write_file, writing

_BUSY = "another process ({owner}) is running an experiment here; wait for it or choose another --out"


@contextmanager
def experiment_folder(folder: Path, experiment: Experiment) -> Iterator[None]:
    """Holds the folder, made where it is absent, for this experiment alone. The system frees it when its holder dies.

    Raises:
        UserError: the folder cannot be written, another process is at work in it, or it is another experiment's.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = take_lock(folder / ".lock", _BUSY)
    with closing(lock):
        _claim(folder / "experiment.yaml", experiment)
        yield


def _claim(path: Path, experiment: Experiment) -> None:
    if path.exists():
        stored, _ = parse_yaml(path.read_text(encoding="utf-8"), str(path))
        name = stored.get("name") if isinstance(stored, dict) else None
        if name != experiment.name:
            raise UserError(f"{path.parent}: holds the experiment {name}, not {experiment.name}; choose another --out")
    # A variant's `pretrained: null` differs from none given.
    write_file(path, dump_yaml(experiment.model_dump(mode="json", exclude_unset=True)))
