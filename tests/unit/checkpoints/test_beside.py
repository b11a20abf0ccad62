"""Saving beside the training, with the writer held up where a test wants it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.checkpoints import Checkpoints, is_complete, open_checkpoint, whole
from ppernie.checkpoints import writing as writing_module
from ppernie.errors import UserError


class Gate:
    """Lets writers through one by one, and counts those that wait."""

    def __init__(self) -> None:
        self.entered, self.free, self.running, self.most = threading.Semaphore(0), threading.Semaphore(0), 0, 0
        self.error: OSError | None = None


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate, original = Gate(), writing_module.write_rank

    def write(*arguments: Any) -> Any:
        gate.running += 1
        gate.most = max(gate.most, gate.running)
        gate.entered.release()
        assert gate.free.acquire(timeout=10)
        gate.running -= 1
        if gate.error is not None:
            raise gate.error
        return original(*arguments)

    monkeypatch.setattr(writing_module, "write_rank", write)
    yield gate
    gate.free.release(100)


class OnDevice:
    """An array that NumPy must copy, as from a device."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype, self.copies = array, array.shape, array.dtype, 0

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        self.copies += 1
        return self.array.copy()


def test_training_goes_on_before_the_checkpoint_is_there(tmp_path: Path, gate: Gate) -> None:
    store, weights = Checkpoints(tmp_path, 2), OnDevice(np.ones(1000, np.float32))
    path = store.save(1, [whole("w", weights)], {}, beside=True)
    assert gate.entered.acquire(timeout=10)
    store.check()
    assert not is_complete(path) and weights.copies == 1
    weights.array[:] = 7.0  # the next update
    gate.free.release()
    store.wait()
    np.testing.assert_array_equal(open_checkpoint(path).tensors["w"].read(), np.ones(1000, np.float32))
    assert weights.copies == 1


def test_paddle_tensors_are_copied_before_training_goes_on(tmp_path: Path, gate: Gate) -> None:
    import paddle

    weights = paddle.ones([1000], "float32").cpu()
    store = Checkpoints(tmp_path, 2)
    path = store.save(1, [whole("w", weights)], {}, beside=True)
    weights.fill_(7.0)
    gate.free.release()
    store.wait()
    np.testing.assert_array_equal(open_checkpoint(path).tensors["w"].read(), np.ones(1000, np.float32))


def test_one_save_at_a_time_and_no_copy_before_the_last_has_ended(tmp_path: Path, gate: Gate) -> None:
    store, weights = Checkpoints(tmp_path, 9), OnDevice(np.ones(10))
    store.save(1, [whole("w", weights)], {}, beside=True)
    assert gate.entered.acquire(timeout=10)
    second = threading.Thread(target=store.save, args=(2, [whole("w", weights)], {}, True))
    second.start()
    second.join(0.1)
    assert second.is_alive() and weights.copies == 1
    gate.free.release(2)
    second.join(10)
    assert store.latest() == tmp_path / "step_00000002"  # waits for the save
    assert (gate.most, weights.copies) == (1, 2)


@pytest.mark.parametrize("asked", ["check", "wait", "save", "latest"])
def test_an_error_comes_out_once_and_the_last_checkpoint_stays(tmp_path: Path, gate: Gate, asked: str) -> None:
    store = Checkpoints(tmp_path, 2)
    gate.free.release()
    store.save(1, [whole("w", np.zeros(3))], {})
    gate.error = OSError(28, "No space left on device")
    store.save(2, [whole("w", np.zeros(3))], {}, beside=True)
    gate.free.release(2)
    if asked == "check":
        assert store._background._thread
        store._background._thread.join()
    ask = {"save": lambda: store.save(3, [whole("w", np.zeros(3))], {})}.get(asked) or getattr(store, asked)
    with pytest.raises(UserError, match="step_00000002: the disk is full"):
        ask()
    store.check()
    assert store.latest() == tmp_path / "step_00000001"
    gate.error = None
    store.save(2, [whole("w", np.zeros(3))], {})
    assert store.latest() == tmp_path / "step_00000002"


def test_closing_waits_and_logs(tmp_path: Path, gate: Gate, warnings: pytest.LogCaptureFixture) -> None:
    store = Checkpoints(tmp_path, 2)
    gate.error = OSError(28, "No space left on device")
    store.save(1, [whole("w", np.zeros(3))], {}, beside=True)
    gate.free.release()
    store.close()
    assert "step_00000001: the disk is full" in warnings.text
    assert list(tmp_path.iterdir()) == []
