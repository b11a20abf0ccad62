"""What calibration sees of a layer's inputs."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppernie.nn.layers import Linear
from ppernie.slim.quantization import calibration
from ppernie.slim.quantization.calibration import calibrate


def test_every_channel_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch of 8 x 128 x 768, whose numbers are their channel's: as many of each are kept, or one more."""
    seen = []
    monkeypatch.setattr(calibration, "input_range", lambda _, magnitudes: seen.append(magnitudes) or 1.0)
    network = paddle.nn.Sequential(Linear(768, 1))
    inputs = paddle.broadcast_to(paddle.arange(1.0, 769.0), [8, 128, 768])
    calibrate(network, lambda layer, batch: layer(batch["x"]), [{"x": inputs}], ["0"], "histogram")
    channels, counts = np.unique(seen[0][:-1], return_counts=True)
    assert channels.tolist() == list(range(1, 769))
    assert counts.max() - counts.min() <= 1 and 10_000 < counts.sum() <= 16_385
