"""The shipped configs of pretraining: sizes, topology and what a step holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_zoo.ernie3.universal.config import UniversalConfig, parameter_count
from ppernie.config import load_config
from ppernie.engine.progressive import shapes


@pytest.mark.parametrize(
    ("name", "ranks", "first", "inputs", "parameters"),
    [
        ("tiny", 1, 32, 64, 15e6),
        ("base", 8, 256, 1024, 140e6),
        ("1.5b", 16, 128, 8192, 1.7e9),
        ("10b", 64, 128, 6144, 10.8e9),
    ],
)
def test_a_step_holds_what_the_config_says(
    repository: Path, name: str, ranks: int, first: int, inputs: int, parameters: float
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
    held = [step.rows * step.rounds * (texts + options.segments) for step in steps]
    assert (held[0], held[-1]) == (first, inputs)
    if name == "10b":
        tokens = sum(count * step.length for count, step in zip(held, steps, strict=True))
        assert tokens == pytest.approx(375e9, rel=0.001)
    assert steps[0].length < steps[-1].length
    # Length, batch, dropout and learning rate grow together.
    assert train.progressive is not None and train.progressive.steps == config.Optimizer.schedule.warmup
