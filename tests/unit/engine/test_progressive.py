"""Growth of length, batch and dropout at the start of a run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import pytest

from ppernie.config.sections import Config, Progressive, TrainSection
from ppernie.engine.progressive import progress, schedule_clock, shapes
from ppernie.errors import UserError
from ppernie.nn.dropout import DropoutScale
from ppernie.nn.layers import Dropout, ResidualNorm


def _train(**progressive: int) -> TrainSection:
    return TrainSection(batch_size=64, progressive=Progressive(steps=10, **progressive) if progressive else None)


def test_without_growth_all_steps_are_alike() -> None:
    assert set(shapes(_train(), 128, 5, world=2)) == {(128, 128, 1)}


def test_batch_grows_by_factors_and_length_by_eights() -> None:
    found = shapes(_train(batch_size=4, length=64), 130, 12, world=2)
    assert found[0] == (8, 64, 1)
    assert found[5] == (2 * 16, 64 + 8 * 4, 1)
    assert found[10] == found[11] == (128, 130, 1)
    lengths = [shape.length for shape in found]
    assert lengths == sorted(lengths) and all((length - 64) % 8 == 0 for length in lengths[:10])


def test_rounds_grow_by_equally_much_with_every_sample() -> None:
    """GLM-130B's ramp (arXiv:2210.02414, table 11): 192 samples a step, 24 more after every 32,698."""
    ramp = Progressive(steps=4213, accumulate_steps=8, dropout=False)
    train = TrainSection(batch_size=1, accumulate_steps=176, progressive=ramp)
    found = np.asarray([shape.rows * shape.rounds for shape in shapes(train, 2048, 4214, world=24)])
    assert found[-1] == 4224 and sorted(found) == found.tolist()
    before = np.cumsum(found) - found
    assert before[-1] == pytest.approx(5_493_164, rel=1e-3)
    # Rounding to whole rounds moves a step by half a round, where the published ramp rounds down.
    assert (np.abs(found[:-1] - (192 + 24 * before[:-1] / 32_698)) < 36).all()


def test_dropout_grows_with_them() -> None:
    network = paddle.nn.Sequential(Dropout(0.2), ResidualNorm(4, 1e-5, 0.1))
    scale = DropoutScale(network)
    train = _train(batch_size=4)
    for step, expected in ((0, 0.0), (5, 0.5), (10, 1.0), (99, 1.0)):
        scale.set(progress(train, step))
        assert (network[0].p, network[1].dropout) == (0.2 * expected, 0.1 * expected)


def test_a_schedule_by_samples_goes_by_those_of_growing_batches(make_config: Callable[..., Config]) -> None:
    corpus = {"Data.train": {"corpus": "corpus"}, "Train.max_steps": 4}
    grow = corpus | {
        "Train.batch_size": 8,
        "Train.accumulate_steps": 2,
        "Train.progressive": {"steps": 2, "batch_size": 2},
    }
    config = make_config(**grow, **{"Optimizer.schedule": {"unit": "samples", "warmup": 20}})
    # Over 3 ranks batches of 2, 4 and 8 rows a rank, two an update.
    assert schedule_clock(config, 4, 3) == [0, 12, 36, 84, 132]
    with pytest.raises(UserError, match="20 samples of warm-up leave nothing of the run's 12"):
        schedule_clock(config, 1, 3)
    config = make_config(**grow)
    assert list(schedule_clock(config, 4, 3)) == [0, 1, 2, 3, 4]
