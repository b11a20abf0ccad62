"""Several ranks meet in one folder; threads stand for processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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


class Agreement:
    """What collectives do for ranks in processes, for ranks in threads."""

    def __init__(self, world: int) -> None:
        self._barrier = threading.Barrier(world, timeout=20)
        self._values: dict[int, Any] = {}

    def _all(self, rank: int, value: Any) -> dict[int, Any]:
        self._values[rank] = value
        self._barrier.wait()
        values = dict(self._values)
        self._barrier.wait()
        return values

    def store(self, folder: Path, rank: int, world: int) -> Checkpoints:
        return Checkpoints(
            folder,
            1,
            Ranks(rank, world, "a"),
            broadcast=lambda value: self._all(rank, value)[0],
            any_rank=lambda here: any(self._all(rank, here).values()),
        )


@pytest.mark.parametrize("unlucky", [0, 1])
def test_all_ranks_fall_back_where_one_finds_damage(
    unlucky: int, tmp_path: Path, save_all: Callable[..., list[Any]]
) -> None:
    for step in (1, 2):
        assert save_all(tmp_path, step, [part(0), part(1)]) == [None, None]
    agreement = Agreement(2)

    def restore(rank: int) -> Path | None:
        def load(checkpoint: Checkpoint) -> None:
            if rank == unlucky and checkpoint.state["step"] == 2:
                raise Damaged(checkpoint.path, "on this rank")

        return agreement.store(tmp_path, rank, 2).restore(load)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(restore, range(2))) == [tmp_path / "step_00000001"] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000001", "step_00000002.damaged"]
