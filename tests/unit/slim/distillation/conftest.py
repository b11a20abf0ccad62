"""A teacher of the small run's task, and configs of runs that learn from it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.config.sections import Config
from ppernie.engine.assemble import assemble, build_model
from ppernie.engine.recorder import Recorder
from ppernie.parallel.ranks import Alone
from ppernie.parallel.topology import Topology
from ppernie.zoo.folder import save_model

SHALLOW = {"Arch.num_hidden_layers": 2, "Arch.hidden_size": 8, "Arch.intermediate_size": 16}


@pytest.fixture
def teacher(make_config: Callable[..., Config], tmp_path: Path) -> str:
    """Model folder of a classifier with 4 layers, drawn at random."""
    config = make_config(**{"Arch.num_hidden_layers": 4, "Arch.initializer_range": 0.3})
    parts = assemble(config)
    network = build_model(config, parts, Alone(Topology())).network
    weights = {name: parameter.numpy() for name, parameter in network.named_parameters()}
    save_model(tmp_path / "teacher", weights, parts.description, parts.task.tokenizer, {})
    return str(tmp_path / "teacher")


@pytest.fixture
def distil(make_config: Callable[..., Config], teacher: str) -> Callable[..., Config]:
    """Config of a run of a shallower and narrower student, its losses given as ``Slim.distillation`` has them."""

    def make(losses: dict[str, Any], **changes: Any) -> Config:
        return make_config(**(SHALLOW | {"Slim.distillation": {"teacher": teacher, **losses}} | changes))

    return make


@pytest.fixture
def texts() -> dict[str, Any]:
    """Changes that make the run one over the same words without their labels."""
    return {
        "Arch.name": "ernie3/ErnieModel",
        "Task": {"name": "distillation"},
        "Train.max_steps": 6,
        "Train.epochs": 1,
        "Train.save_every": 3,
        "Eval.every": 3,
    }


@pytest.fixture
def interrupt_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sends this process SIGTERM while the update that completes a given step is under way, once."""

    def arm(step: int) -> None:
        original = Recorder.progress

        def progress(self: Recorder, done: int) -> None:
            original(self, done)
            if done == step:
                monkeypatch.setattr(Recorder, "progress", original)
                os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(Recorder, "progress", progress)

    return arm
