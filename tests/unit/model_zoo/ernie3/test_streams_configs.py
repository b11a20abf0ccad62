"""The shipped configs of pretraining: sizes, topology and what a step holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_zoo.ernie3.universal.config import UniversalConfig, parameter_count
from ppernie.config import load_config
from ppernie.engine.progressive import shapes


@pytest.mark.parametrize(
    ("name", "ranks", "inputs", "parameters"),
    [
        ("tiny", 1, 64, 15e6),
        ("base", 8, 1024, 140e6),
        ("1.5b", 16, 8192, 1.7e9),
        ("10b", 64, 6144, 10.8e9),
    ],
)
def test_a_step_holds_what_the_config_says(
    repository: Path, name: str, ranks: int, inputs: int, parameters: float
) -> None:
    config = load_config(repository / "configs" / "ernie3" / "pretrain" / f"universal_{name}.yaml")
    section, train, options = config.Distributed, config.Train, config.Task.options
    data_world = (section.dp or 1) * section.sharding
    assert data_world * section.mp * section.pp == ranks
    assert isinstance(config.Arch.model, UniversalConfig)
    assert parameter_count(config.Arch.model) == pytest.approx(parameters, rel=0.03)
    assert train.max_steps is not None
    steps = shapes(train, config.Data.max_length, train.max_steps, data_world)
    assert steps[-1].length == config.Data.max_length == config.Arch.model.max_position_embeddings
    texts = sum(factor > 0 for name, factor in options.factors if name != "document")
    assert steps[-1].rows * steps[-1].rounds * (texts + options.segments) == inputs
    assert steps[0].length < steps[-1].length
    # Length, batch, dropout and learning rate grow together.
    assert train.progressive is not None and train.progressive.steps == config.Optimizer.schedule.warmup
