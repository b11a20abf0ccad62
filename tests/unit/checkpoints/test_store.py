from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.checkpoints import Checkpoint, Checkpoints, Damaged, Slice, is_complete, open_checkpoint, whole
from ppernie.errors import UserError

STEPS = (5, 10)


def slices(step: int) -> list[Slice]:
    array = np.full(4, step, np.float32)
    return [whole("model/w", array), whole("optimizer/w.moment1", array * 2)]


def read(path: Path) -> tuple[Any, dict[str, np.ndarray]]:
    checkpoint = open_checkpoint(path)
    return checkpoint.state, {name: tensor.read() for name, tensor in checkpoint.tensors.items()}


@pytest.fixture
def store(tmp_path: Path) -> Checkpoints:
    store = Checkpoints(tmp_path / "checkpoints", keep_last=3)
    for step in STEPS:
        store.save(step, slices(step), {"step": step, "losses": [0.1]})
    return store


@pytest.fixture
def newest(store: Checkpoints) -> Path:
    return store.folder / "step_00000010"


def names(store: Checkpoints) -> list[str]:
    return sorted(os.listdir(store.folder))


def test_what_was_saved_is_read(store: Checkpoints, newest: Path) -> None:
    assert store.latest() == newest
    checkpoint = open_checkpoint(newest)
    assert checkpoint.state == {"step": 10, "losses": [0.1]}
    np.testing.assert_array_equal(checkpoint.group("model")["w"].read(), np.full(4, 10, np.float32))
    np.testing.assert_array_equal(checkpoint.group("optimizer")["w.moment1"].read(), np.full(4, 20, np.float32))


def test_nothing_at_all_can_be_saved(store: Checkpoints) -> None:
    assert read(store.save(11, [], {})) == ({}, {})


def test_only_the_last_ones_are_kept(store: Checkpoints) -> None:
    for step in (15, 20, 100):
        store.save(step, slices(step), {})
    assert [step for step, _ in store.complete()] == [15, 20, 100]
    assert names(store) == ["step_00000015", "step_00000020", "step_00000100"]


def test_a_complete_checkpoint_is_not_written_again(store: Checkpoints, newest: Path) -> None:
    before = (newest / "COMPLETE").stat().st_mtime_ns
    store.save(10, slices(3), {})
    assert (newest / "COMPLETE").stat().st_mtime_ns == before


def flip(name: str, place: int) -> Callable[[Path], Any]:
    """Turns one bit of the byte at a place, counted from the end where it is negative."""

    def damage(path: Path) -> None:
        content = bytearray((path / name).read_bytes())
        content[place] ^= 16
        (path / name).write_bytes(content)

    return damage


def truncate(path: Path) -> None:
    os.truncate(path / "rank_00000.safetensors", (path / "rank_00000.safetensors").stat().st_size - 1)


def lengthen(path: Path) -> None:
    with (path / "rank_00000.safetensors").open("ab") as file:
        file.write(b"\0")


def other_step(name: str) -> Callable[[Path], Any]:
    return lambda path: shutil.copy(path.parent / "step_00000005" / name, path / name)


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "an empty marker": lambda path: (path / "COMPLETE").write_text(""),
    "a cut marker": lambda path: (path / "COMPLETE").write_text('{"files": {}'),
    "a marker of bytes": lambda path: (path / "COMPLETE").write_bytes(b"\xff\xfe"),
    "a flipped bit in the marker": flip("COMPLETE", 30),
    "a flipped bit in the marker's checksum": flip("COMPLETE", -3),
    "a flipped bit in the index": flip("rank_00000.json", 100),
    "a flipped bit in the state": flip("state.json", 10),
    "a flipped bit in the header": flip("rank_00000.safetensors", 20),
    "a flipped bit in the weights": flip("rank_00000.safetensors", -20),
    "a flipped bit in the moments": flip("rank_00000.safetensors", -1),
    "a truncated file": truncate,
    "a longer file": lengthen,
    "an absent state": lambda path: (path / "state.json").unlink(),
    "absent slices": lambda path: (path / "rank_00000.safetensors").unlink(),
    "an absent index": lambda path: (path / "rank_00000.json").unlink(),
    "slices of another step": other_step("rank_00000.safetensors"),
    "an index of another step": other_step("rank_00000.json"),
    "a folder in place of slices": lambda path: (
        (truncate(path), (path / "rank_00000.safetensors").unlink()) and (path / "rank_00000.safetensors").mkdir()
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_told_and_the_one_before_is_taken(
    store: Checkpoints, newest: Path, damage: str, warnings: pytest.LogCaptureFixture
) -> None:
    DAMAGES[damage](newest)
    with pytest.raises(Damaged, match=r"step_00000010: damaged \(.*\); resume from another checkpoint"):
        read(newest)
    loaded: list[int] = []

    def load(checkpoint: Checkpoint) -> None:
        for tensor in checkpoint.tensors.values():
            tensor.read()
        loaded.append(checkpoint.state["step"])

    assert store.restore(load) == store.folder / "step_00000005"
    assert loaded == [5]
    assert "step_00000010 is damaged (" in warnings.text and "): kept as step_00000010.damaged" in warnings.text
    assert names(store) == ["step_00000005", "step_00000010.damaged"]
    store.save(10, slices(10), {"step": 10})
    assert store.restore(load) == newest
    assert loaded == [5, 10]


def test_without_a_marker_it_is_what_a_kill_left(
    store: Checkpoints, newest: Path, warnings: pytest.LogCaptureFixture
) -> None:
    (newest / "COMPLETE").unlink()
    assert not is_complete(newest)
    with pytest.raises(UserError, match="step_00000010: not a complete checkpoint; resume from another one"):
        open_checkpoint(newest)
    assert store.latest() == store.folder / "step_00000005"
    assert "step_00000010 is not complete" in warnings.text
    assert names(store) == ["step_00000005"]


def test_leavings_of_a_kill_are_removed_and_nothing_of_the_users(store: Checkpoints, newest: Path) -> None:
    for name in ("step_00000015.tmp", "step_00000015.0a1b2c.tmp", "my copy", "step_00000005.mine"):
        (store.folder / name).mkdir()
    (store.folder / "notes.txt").write_text("step 5 was good")
    assert store.latest() == newest
    assert names(store) == ["my copy", "notes.txt", "step_00000005", "step_00000005.mine", "step_00000010"]


def test_without_a_whole_one_there_is_none(store: Checkpoints, tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "absent", 1).latest() is None
    for path in store.folder.iterdir():
        (path / "COMPLETE").unlink()
    assert store.restore(lambda _: None) is None
    assert names(store) == []


def test_where_all_are_damaged_nothing_starts_anew_by_itself(store: Checkpoints) -> None:
    for path in store.folder.iterdir():
        truncate(path)
    for attempt in (store, Checkpoints(store.folder, 1)):
        with pytest.raises(UserError, match=r"every checkpoint is damaged; .* or remove the folders \*\.damaged"):
            attempt.restore(lambda _: None)
    for path in store.folder.iterdir():
        shutil.rmtree(path)
    assert Checkpoints(store.folder, 1).restore(lambda _: None) is None


def test_another_error_of_loading_is_no_damage(store: Checkpoints, newest: Path) -> None:
    def load(checkpoint: Checkpoint) -> None:
        raise UserError("does not fit the model")

    with pytest.raises(UserError, match="does not fit the model"):
        store.restore(load)
    assert is_complete(newest)


def test_an_absent_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="step_7: no such checkpoint folder"):
        open_checkpoint(tmp_path / "step_7")


def test_a_folder_that_vanishes_while_it_is_read_is_damage(store: Checkpoints, newest: Path) -> None:
    checkpoint = open_checkpoint(newest)
    shutil.rmtree(newest)
    with pytest.raises(Damaged, match="rank_00000.safetensors cannot be read: No such file"):
        checkpoint.tensors["model/w"].read()


def test_a_folder_that_vanishes_is_made_again(store: Checkpoints) -> None:
    shutil.rmtree(store.folder)
    store.save(15, slices(15), {})
    assert names(store) == ["step_00000015"]


@pytest.mark.parametrize("moment", ["write_rank", "take_done", "gather", "write_marker"])
def test_a_folder_that_vanishes_while_it_is_written_is_told(
    store: Checkpoints, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    from ppernie.checkpoints import writing

    original = getattr(writing, moment)

    def vanish(*arguments: Any) -> Any:
        for path in store.folder.glob("step_00000015*"):
            shutil.rmtree(path)
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(writing, moment, vanish)
        with pytest.raises(UserError, match="step_00000015: .* vanished while it was written"):
            store.save(15, slices(15), {})
    assert names(store) == ["step_00000005", "step_00000010"]
    store.save(15, slices(15), {})
    assert store.latest() == store.folder / "step_00000015"


@pytest.mark.parametrize("moment", ["write_rank", "write_synced", "take_done", "sync", "write_marker"])
def test_a_disk_that_is_full_at_any_moment_loses_nothing(
    store: Checkpoints, newest: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    from ppernie.checkpoints import writing

    def full(*arguments: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, moment, full)
    with pytest.raises(UserError, match="step_00000015: the disk is full"):
        store.save(15, slices(15), {})
    assert names(store) == ["step_00000005", "step_00000010"]
    assert store.latest() == newest


# Saves a checkpoint of 800 kB where files may have 100 kB, or where the disk has no room for it.
SAVE = """
import resource, sys
from pathlib import Path
import numpy as np
from ppernie.checkpoints import Checkpoints, whole
from ppernie.errors import UserError

store = Checkpoints(Path(sys.argv[1]), 2)
for step, size in ((5, 100), (10, 100_000)):
    if step == 10 and sys.argv[2] == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    array = np.zeros(size, np.float32)
    try:
        store.save(step, [whole("w", array), whole("w.moment1", array)], {"step": step})
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
