"""A model to compress, and recipes for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.config.sections import Config
from ppernie.engine.train import train

# What one example of 10 is.
GATE = {"points": 10.0}


@pytest.fixture
def source(make_config: Callable[..., Config], tmp_path: Path) -> Path:
    """The model folder of a small run."""
    train(make_config(**{"Train.epochs": 6, "Train.save_every": 60, "Eval.every": 60, "Optimizer.learning_rate": 1e-2}))
    return tmp_path / "run" / "best_model"


@pytest.fixture
def recipe(make_config: Callable[..., Config]) -> Callable[..., Config]:
    """The config of a recipe by the keys of ``Slim``, which measures no latency unless asked to."""

    def make(changes: dict[str, Any] | None = None, **slim: Any) -> Config:
        return make_config(**{"Slim": {"gate": GATE, "latency": None, **slim}, **(changes or {})})

    return make
