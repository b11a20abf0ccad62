"""Growth of length, batch and dropout at the start of a run."""

from __future__ import annotations

import paddle

from ppernie.config.sections import Progressive, TrainSection
from ppernie.engine.progressive import progress, shapes
from ppernie.nn.dropout import DropoutScale
from ppernie.nn.layers import Dropout, ResidualNorm


def _train(**progressive: int) -> TrainSection:
    return TrainSection(batch_size=64, progressive=Progressive(steps=10, **progressive) if progressive else None)


def test_without_growth_all_steps_are_alike() -> None:
    assert set(shapes(_train(), 128, 5, world=2)) == {(128, 128)}


def test_batch_grows_by_factors_and_length_by_eights() -> None:
    found = shapes(_train(batch_size=4, length=64), 130, 12, world=2)
    assert found[0] == (8, 64)
    assert found[5] == (2 * 16, 64 + 8 * 4)
    assert found[10] == found[11] == (128, 130)
    lengths = [shape.length for shape in found]
    assert lengths == sorted(lengths) and all((length - 64) % 8 == 0 for length in lengths[:10])


def test_dropout_grows_with_them() -> None:
    network = paddle.nn.Sequential(Dropout(0.2), ResidualNorm(4, 1e-5, 0.1))
    scale = DropoutScale(network)
    train = _train(batch_size=4)
    for step, expected in ((0, 0.0), (5, 0.5), (10, 1.0), (99, 1.0)):
        scale.set(progress(train, step))
        assert (network[0].p, network[1].dropout) == (0.2 * expected, 0.1 * expected)
