from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ppernie.config import load_config
from ppernie.config.sections import Config
from ppernie.engine.output_folder import OutputFolder
from ppernie.errors import UserError


def take(config: Config, resume: bool = False) -> OutputFolder:
    return OutputFolder(Path(config.Global.output_dir), config, resume)


def start(config: Config) -> Path:
    """A folder in which a run has left a checkpoint."""
    take(config).close()
    folder = Path(config.Global.output_dir)
    (folder / "checkpoints" / "step_00000005").mkdir(parents=True)
    return folder


def test_the_resolved_config_is_written_and_loads_again(make_config: Callable[..., Config]) -> None:
    config = make_config()
    take(config).close()
    assert load_config(Path(config.Global.output_dir) / "config.yaml") == config


# Another process that holds the folder until its input ends.
HOLD = """
import sys
from pathlib import Path
from ppernie.config import load_config
from ppernie.engine.output_folder import OutputFolder

config = load_config(sys.argv[1])
folder = OutputFolder(Path(config.Global.output_dir), config, True)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_run_is_turned_away_until_the_first_ends(make_config: Callable[..., Config]) -> None:
    config = make_config()
    take(config).close()
    written = str(Path(config.Global.output_dir) / "config.yaml")
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, written], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdin and other.stdout
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"another run \(process {other.pid}\) is writing here"):
            take(config, resume=True)
    finally:
        other.kill()
        other.communicate()
    take(config, resume=True).close()


def test_a_child_that_outlives_a_run_does_not_hold_the_folder(make_config: Callable[..., Config]) -> None:
    """Loader workers notice the death of a killed run only after a while."""
    config = make_config()
    take(config).close()
    written = str(Path(config.Global.output_dir) / "config.yaml")
    forking = HOLD.replace("sys.stdin.read()", "import os\nif os.fork() == 0:\n    sys.stdin.read()\nos._exit(0)")
    run = subprocess.Popen(
        [sys.executable, "-c", forking, written], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run.wait() == 0
    take(config, resume=True).close()
    run.communicate()


def test_a_run_that_is_there_needs_resume(make_config: Callable[..., Config]) -> None:
    config = make_config()
    folder = start(config)
    with pytest.raises(UserError, match=r"run: holds a run already; add --resume auto"):
        take(config)
    take(config, resume=True).close()
    (folder / "checkpoints" / "step_00000005").rmdir()
    (folder / "train_results.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="holds a run already"):
        take(config)


def test_a_run_without_a_checkpoint_starts_anew_without_old_logs(make_config: Callable[..., Config]) -> None:
    config = make_config()
    take(config).close()
    folder = Path(config.Global.output_dir)
    (folder / "vdl").mkdir()
    (folder / "train.log").write_text("old", encoding="utf-8")
    (folder / "train_log.jsonl").write_text("old", encoding="utf-8")
    take(config).close()
    assert sorted(os.listdir(folder)) == [".lock", "config.yaml"]


def test_another_config_is_refused_with_all_that_differs(make_config: Callable[..., Config]) -> None:
    start(make_config())
    other = make_config(**{"Train.epochs": 8, "Optimizer.schedule.name": "cosine", "Optimizer.epsilon": 1e-6})
    with pytest.raises(UserError) as error:
        take(other, resume=True)
    message = str(error.value)
    assert "belongs to another config" in message
    for line in (
        "Train.epochs was 2, is 8",
        "Optimizer.schedule.name was 'linear', is 'cosine'",
        "Optimizer.epsilon was 1e-08, is 1e-06",
    ):
        assert line in message
    assert message.count(" was ") == 3


@pytest.mark.parametrize(
    "change",
    [
        {"Train.log_every": 7},
        {"Train.save_every": 3, "Train.keep_last": 5},
        {"Data.workers": 2, "Global.threads": None, "Eval.batch_size": 1},
        {"Export.tolerance": 1e-3},
    ],
)
def test_what_does_not_change_the_mathematics_may_change(
    make_config: Callable[..., Config], change: dict[str, Any]
) -> None:
    folder = start(make_config())
    take(make_config(**change), resume=True).close()
    assert load_config(folder / "config.yaml") == make_config(**change)


@pytest.mark.parametrize("labels", [["no", "yes", "on"], ["1", "02", "1_000"], ["null", "~", "1e3"]])
def test_the_same_config_is_known_again_whatever_its_words(
    make_config: Callable[..., Config], labels: list[str]
) -> None:
    config = make_config(**{"Task.labels": labels, "Optimizer.learning_rate": 1e-5, "Optimizer.epsilon": 1e-30})
    start(config)
    take(config, resume=True).close()


def test_a_broken_stored_config_is_named(make_config: Callable[..., Config]) -> None:
    folder = start(make_config())
    (folder / "config.yaml").write_text("Global: {output_dir", encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.yaml"):
        take(make_config(), resume=True)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write anywhere: become someone else for a while."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_that_cannot_be_written_is_named(
    make_config: Callable[..., Config], tmp_path: Path, made: bool
) -> None:
    config = make_config()
    closed = Path(config.Global.output_dir) if made else tmp_path
    closed.mkdir(exist_ok=True)
    mode = stat.S_IMODE(closed.stat().st_mode)
    closed.chmod(0o555)
    try:
        with without_privileges(), pytest.raises(UserError, match="run: cannot write here"):
            take(config)
    finally:
        closed.chmod(mode)


def test_a_file_in_the_folders_place_is_named(make_config: Callable[..., Config], tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file", encoding="utf-8")
    with pytest.raises(UserError, match="run: cannot write here"):
        take(make_config())


def test_a_best_model_between_two_renames_is_recovered(make_config: Callable[..., Config]) -> None:
    config = make_config()
    folder = start(config)
    (folder / "best_model.old").mkdir()
    (folder / "best_model.old" / "model.safetensors").write_bytes(b"old")
    (folder / "best_model.tmp").mkdir()
    take(config, resume=True).close()
    assert (folder / "best_model" / "model.safetensors").read_bytes() == b"old"
    assert not (folder / "best_model.old").exists() and not (folder / "best_model.tmp").exists()
