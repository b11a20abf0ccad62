"""Several ranks meet in one folder; threads stand for processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.checkpoints import Checkpoint, Checkpoints, Damaged, Ranks, Slice, is_complete, open_checkpoint, whole
from ppernie.checkpoints import writing as writing_module
from ppernie.errors import UserError


def part(rank: int, value: float = 1.0) -> list[Slice]:
    return [Slice("w", (4, 6), (0, 3 * rank), np.full((4, 3), value, np.float32))]


def test_the_first_waits_and_names_who_is_missing(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path, 1, Ranks(0, 4, "a", patience=0.1))
    with pytest.raises(UserError, match=r"step_00000001: rank 1, 2, 3 wrote nothing within 0.1 s; look into its log"):
        store.save(1, part(0), {})
    assert not list(tmp_path.glob("step_*/COMPLETE"))


def test_the_others_wait_for_the_first(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path, 1, Ranks(1, 2, "a", patience=0.1))
    with pytest.raises(UserError, match="step_00000001: rank 0 did not complete it within 0.1 s"):
        store.save(1, part(1), {})


def test_a_late_rank_is_waited_for(tmp_path: Path) -> None:
    first = Checkpoints(tmp_path, 1, Ranks(0, 2, "a"))
    first.save(1, part(0), {}, beside=True)
    time.sleep(0.1)
    first.check()
    assert not is_complete(tmp_path / "step_00000001")
    Checkpoints(tmp_path, 1, Ranks(1, 2, "a")).save(1, part(1), {})
    assert is_complete(tmp_path / "step_00000001")
    first.wait()
    assert first.latest() == tmp_path / "step_00000001"


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_when_one_fails_all_end_and_leave_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_all: Callable[..., list[Any]], failing: int
) -> None:
    original = writing_module.write_rank

    def write(folder: Path, rank: int, slices: list[Slice]) -> Any:
        if rank == failing:
            (folder / f"rank_{rank:05d}.safetensors").write_bytes(b"a part")
            raise OSError(28, "No space left on device")
        return original(folder, rank, slices)

    monkeypatch.setattr(writing_module, "write_rank", write)
    errors = save_all(tmp_path, 1, [[whole(f"w{rank}", np.zeros(3))] for rank in range(3)])
    for rank, error in enumerate(errors):
        expected = "the disk is full" if rank == failing else f"could not be written; rank {failing}: "
        assert f"step_00000001: {expected}" in str(error)
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".tmp") and not list(left.glob("*.safetensors"))
    assert Checkpoints(tmp_path, 1).latest() is None
    assert not list(tmp_path.iterdir())


def test_files_of_a_dead_attempt_are_not_mixed_in(tmp_path: Path) -> None:
    """Both ranks of an attempt wrote step 1 and died before the first completed it; the next has other numbers."""
    for rank in (0, 1):
        dead = Ranks(rank, 2, "dead", patience=0.05)
        with pytest.raises(UserError):
            Checkpoints(tmp_path, 1, replace(dead, rank=rank)).save(1, part(rank, 7.0), {})
    ranks = [Checkpoints(tmp_path, 1, Ranks(rank, 2, "alive")) for rank in (0, 1)]
    assert ranks[1].latest() is None and list(tmp_path.iterdir())  # only the first rank clears up
    other = threading.Thread(target=ranks[1].save, args=(1, part(1), {}))
    other.start()
    ranks[0].save(1, part(0), {})
    other.join()
    np.testing.assert_array_equal(open_checkpoint(tmp_path / "step_00000001").tensors["w"].read(), np.ones((4, 6)))
    assert ranks[0].latest() and [path.name for path in tmp_path.iterdir()] == ["step_00000001"]


def test_a_rank_that_comes_late_to_a_damaged_checkpoint_finds_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first rank sets it aside between the second's looking for it and its opening it."""
    from ppernie.checkpoints import store as store_module

    store = Checkpoints(tmp_path, 2)
    for step in (1, 2):
        store.save(step, [whole("w", np.zeros(3))], {"step": step})
    original = store_module.open_checkpoint

    def late(path: Path) -> Checkpoint:
        if path.name == "step_00000002":
            path.rename(tmp_path / "step_00000002.damaged")
        return original(path)

    monkeypatch.setattr(store_module, "open_checkpoint", late)
    found = Checkpoints(tmp_path, 2, Ranks(1, 2, "a")).restore(lambda _: None)
    assert found == tmp_path / "step_00000001"


def test_all_ranks_fall_back_together(tmp_path: Path, save_all: Callable[..., list[Any]]) -> None:
    for step in (1, 2):
        assert save_all(tmp_path, step, [part(0), part(1)]) == [None, None]
    stores = [Checkpoints(tmp_path, 1, Ranks(rank, 2, "a")) for rank in (1, 0)]

    def load(checkpoint: Checkpoint) -> None:
        if checkpoint.state["step"] == 2:
            raise Damaged(checkpoint.path, "on some rank")

    # The second does not depend on the first rank's having renamed the folder yet.
    assert [store.restore(load) for store in stores] == [tmp_path / "step_00000001"] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000001", "step_00000002.damaged"]
