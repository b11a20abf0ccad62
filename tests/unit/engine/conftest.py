"""Runs in this process, and what they leave behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from ppernie.config.sections import Config


@pytest.fixture
def remains() -> Callable[[Config], dict[str, np.ndarray]]:
    """All arrays that a run ends with: the best model's, and the newest checkpoint's."""

    def read(config: Config) -> dict[str, np.ndarray]:
        folder = Path(config.Global.output_dir)
        newest = max((folder / "checkpoints").iterdir())
        files = (folder / "best_model" / "model.safetensors", *sorted(newest.glob("*.safetensors")))
        return {
            f"{path.parent.name}/{path.name}/{name}": array for path in files for name, array in load_file(path).items()
        }

    return read


@pytest.fixture
def assert_equal() -> Callable[[Mapping[str, np.ndarray], Mapping[str, np.ndarray]], None]:
    """Equality to the bit."""

    def compare(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> None:
        assert left.keys() == right.keys()
        for name in left:
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)

    return compare


@pytest.fixture
def signal_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, signal.Signals], None]:
    """Sends this process a signal while the update that completes a given step is under way."""

    def arm(step: int, number: signal.Signals = signal.SIGTERM) -> None:
        from ppernie.engine.recorder import Recorder

        original = Recorder.progress

        def progress(self: Recorder, done: int) -> None:
            original(self, done)
            if done == step:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(Recorder, "progress", progress)

    return arm
