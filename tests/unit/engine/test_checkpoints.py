from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.engine.checkpoints import Checkpoint, Checkpoints, is_complete, load_checkpoint
from ppernie.errors import UserError


def checkpoint(value: float, size: int = 4) -> Checkpoint:
    array = np.full(size, value, dtype=np.float32)
    return Checkpoint({"w": array}, {"w.moment1": array * 2}, {"train": {"step": int(value)}, "losses": [0.1]})


@pytest.fixture
def store(tmp_path: Path) -> Checkpoints:
    store = Checkpoints(tmp_path / "checkpoints", keep_last=3)
    for step in (5, 10):
        store.save(step, checkpoint(step))
    return store


def newest(store: Checkpoints) -> Path:
    return store.folder / "step_00000010"


def test_what_was_saved_is_loaded(store: Checkpoints) -> None:
    latest = store.latest()
    assert latest == newest(store)
    loaded = load_checkpoint(latest)
    np.testing.assert_array_equal(loaded.model["w"], np.full(4, 10, np.float32))
    np.testing.assert_array_equal(loaded.optimizer["w.moment1"], np.full(4, 20, np.float32))
    assert loaded.state == {"train": {"step": 10}, "losses": [0.1]}


def test_a_state_without_moments_can_be_saved(store: Checkpoints) -> None:
    path = store.save(11, Checkpoint({"w": np.zeros(2, np.float32)}, {}, {}))
    assert load_checkpoint(path).optimizer == {}


def test_only_the_last_ones_are_kept(store: Checkpoints) -> None:
    for step in (15, 20, 100):
        store.save(step, checkpoint(step))
    assert [step for step, _ in store.complete()] == [15, 20, 100]
    assert sorted(os.listdir(store.folder)) == ["step_00000015", "step_00000020", "step_00000100"]


def test_a_complete_checkpoint_is_not_written_again(store: Checkpoints) -> None:
    before = (newest(store) / "COMPLETE").stat().st_mtime_ns
    store.save(10, checkpoint(3))
    assert (newest(store) / "COMPLETE").stat().st_mtime_ns == before


def truncate(path: Path) -> None:
    (path / "optimizer.safetensors").write_bytes((path / "optimizer.safetensors").read_bytes()[:-1])


def lengthen(path: Path) -> None:
    with (path / "model.safetensors").open("ab") as file:
        file.write(b"\0")


def change_size(path: Path) -> None:
    sizes = json.loads((path / "COMPLETE").read_text(encoding="utf-8"))
    (path / "COMPLETE").write_text(json.dumps(sizes | {"state.json": 1}), encoding="utf-8")


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "no marker": lambda path: (path / "COMPLETE").unlink(),
    "an empty marker": lambda path: (path / "COMPLETE").write_text(""),
    "a cut marker": lambda path: (path / "COMPLETE").write_text('{"model.safetensors": 1'),
    "a marker of another kind": lambda path: (path / "COMPLETE").write_text("7"),
    "a marker without a file": lambda path: (path / "COMPLETE").write_text("{}"),
    "another size in the marker": change_size,
    "a truncated file": truncate,
    "a longer file": lengthen,
    "a missing file": lambda path: (path / "state.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_not_whole_is_passed_over_with_a_message(
    store: Checkpoints, damage: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("ppernie"), "propagate", True)
    DAMAGES[damage](newest(store))
    assert not is_complete(newest(store))
    with pytest.raises(UserError, match="step_00000010: not a complete checkpoint"):
        load_checkpoint(newest(store))
    assert store.latest() == store.folder / "step_00000005"
    assert "step_00000010 is not complete" in caplog.text
    assert load_checkpoint(store.folder / "step_00000005").state["train"]["step"] == 5
    store.save(10, checkpoint(10))
    assert store.latest() == newest(store)


def test_leavings_of_a_kill_are_removed_and_nothing_of_the_users(store: Checkpoints) -> None:
    (store.folder / "step_00000015.tmp").mkdir()
    (store.folder / "my copy").mkdir()
    (store.folder / "notes.txt").write_text("step 5 was good")
    assert store.latest() == newest(store)
    assert sorted(os.listdir(store.folder)) == ["my copy", "notes.txt", "step_00000005", "step_00000010"]


def test_without_a_whole_one_there_is_none(store: Checkpoints, tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "absent", 1).latest() is None
    for path in store.folder.iterdir():
        (path / "COMPLETE").unlink()
    assert store.latest() is None
    assert os.listdir(store.folder) == []


def test_damage_inside_a_file_of_the_right_size_is_named(store: Checkpoints) -> None:
    path = newest(store) / "model.safetensors"
    path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(UserError, match="step_00000010: damaged"):
        load_checkpoint(newest(store))


def test_an_absent_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="step_7: no such checkpoint folder"):
        load_checkpoint(tmp_path / "step_7")


# Saves a checkpoint of 400 kB where files may have 100 kB, or where the disk has no room for it.
SAVE = """
import resource, sys
from pathlib import Path
import numpy as np
from ppernie.engine.checkpoints import Checkpoint, Checkpoints
from ppernie.errors import UserError

store = Checkpoints(Path(sys.argv[1]), 2)
for step, size in ((5, 100), (10, 100_000)):
    if step == 10 and sys.argv[2] == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    array = np.zeros(size, np.float32)
    try:
        store.save(step, Checkpoint({"w": array}, {"w.moment1": array}, {"step": step}))
    except UserError as error:
        print(error)
print(store.latest(), sorted(p.name for p in store.folder.iterdir()))
"""


def test_a_file_that_may_not_grow_loses_nothing(tmp_path: Path) -> None:
    output = subprocess.check_output([sys.executable, "-c", SAVE, str(tmp_path / "c"), "limit"], text=True)
    assert "step_00000010: cannot write here (File too large)" in output
    assert output.endswith("c/step_00000005 ['step_00000005']\n")


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["unshare", "-rm", "sh", "-c", f'mount -t tmpfs -o size=300k tmpfs "{disk}" && exec "$@"', "sh"]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets no one mount a small disk")
    output = subprocess.check_output([*mount, sys.executable, "-c", SAVE, str(disk / "c"), "disk"], text=True)
    assert "step_00000010: the disk is full; free some space and start again" in output
    assert output.endswith("c/step_00000005 ['step_00000005']\n")
