"""Processes killed at random moments, most of them inside a save."""

from __future__ import annotations

import importlib.util
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ppernie.checkpoints import Checkpoint, Checkpoints, is_complete, open_checkpoint

SAVER = Path(__file__).with_name("saver.py")
LONGEST_LIFE = 0.15


@pytest.fixture(scope="module")
def saver() -> ModuleType:
    spec = importlib.util.spec_from_file_location("saver", SAVER)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(checkpoint: Checkpoint, saver: ModuleType) -> None:
    expected = saver.state_at(checkpoint.state["step"])
    assert checkpoint.path.name == f"step_{checkpoint.state['step']:08d}"
    assert checkpoint.tensors.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(checkpoint.tensors[name].read(), array)


def kill_again_and_again(folder: Path, world: int, kills: int, saver: ModuleType, *beside: str) -> int:
    """Returns how many of the kills left a save half done."""
    moments, furthest, inside = random.Random(kills), 0, 0
    for attempt in range(kills):
        ranks = [
            subprocess.Popen(
                [sys.executable, str(SAVER), str(folder), str(rank), str(world), f"attempt{attempt}", *beside],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(world)
        ]
        for process in ranks:
            assert process.stdout and "ready" in process.stdout.readline()
        time.sleep(moments.uniform(0, LONGEST_LIFE))
        # A launcher ends the others only some time after one has died.
        for process in moments.sample(ranks, world):
            process.send_signal(signal.SIGKILL)
            time.sleep(moments.choice((0, 0.05)))
        for process in ranks:
            _, errors = process.communicate()
            assert process.returncode == -signal.SIGKILL, errors
        marked = [path for path in folder.glob("step_*") if (path / "COMPLETE").exists()]
        assert all(is_complete(path) for path in marked)
        for path in marked:
            check(open_checkpoint(path), saver)
        inside += len(list(folder.glob("*.tmp"))) > 0
        step = max([int(path.name[5:]) for path in marked], default=0)
        assert step >= furthest
        furthest = step
    assert furthest > kills
    store = Checkpoints(folder, 2)
    assert store.restore(lambda checkpoint: check(checkpoint, saver)) == folder / f"step_{furthest:08d}"
    assert len(list(folder.iterdir())) in (2, 3)  # an old one may have stayed, whose removal was cut short
    return inside


def test_twenty_kills(tmp_path: Path, saver: ModuleType) -> None:
    inside = kill_again_and_again(tmp_path / "c", 1, 10, saver)
    inside += kill_again_and_again(tmp_path / "d", 1, 5, saver, "beside")
    inside += kill_again_and_again(tmp_path / "e", 2, 5, saver)
    assert inside > 20 / 4


@pytest.mark.slow
def test_a_hundred_kills_of_two_ranks(tmp_path: Path, saver: ModuleType) -> None:
    assert kill_again_and_again(tmp_path / "c", 2, 100, saver) > 100 / 4
