from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie import registry
from ppernie.config.sections import Config
from ppernie.engine.recorder import Recorder
from ppernie.engine.train import train
from ppernie.errors import Interrupted, UserError
from ppernie.slim.pruning.settings import Sparsity
from ppernie.slim.pruning.sparsity import prune_weights
from ppernie.slim.pruning.zeros import Zeros
from ppernie.zoo.folder import read_weights

PLAN = registry.arch_plan("ernie3/ErnieModel")
MATRICES = ("qkv_proj.weight", "out_proj.weight", "linear1.weight", "linear2.weight")


def zeros_in(folder: Path) -> dict[str, float]:
    return {name: float((np.asarray(tensor) == 0).mean()) for name, tensor in read_weights(folder).items()}


def test_zeros_grow_by_the_cube_and_stay(make_model: Callable[..., Any]) -> None:
    network = make_model("ErnieModel")
    zeros = Zeros(network, PLAN, Sparsity(target=0.8, begin=2, end=6, every=2), 10)
    assert [round(zeros.share(step), 4) for step in (0, 2, 4, 6, 9)] == [0, 0, 0.7, 0.8, 0.8]
    matrix = network.encoder.layers[0].feed_forward.linear1.weight
    other = network.pooler.weight
    before, found = other.numpy(), []
    for step in range(1, 11):
        magnitudes, old = np.abs(matrix.numpy() + 1.0), matrix.numpy() == 0
        with zeros.kept(step):
            matrix.set_value(matrix + 1.0)
        now = matrix.numpy() == 0
        assert not (old & ~now).any()
        if now.sum() > old.sum():  # the smallest of those that were left
            assert magnitudes[now & ~old].max() < magnitudes[~now].min()
        found.append(now.mean())
    np.testing.assert_allclose(found, [0, 0, 0, 0.7, 0.7] + [0.8] * 5, atol=1 / matrix.size)
    assert (other.numpy() == before).all()


@pytest.fixture
def trained(make_config: Callable[..., Config]) -> Path:
    """A model folder of the small run."""
    config = make_config(**{"Train.epochs": 1, "Train.max_steps": 2})
    train(config)
    return Path(config.Global.output_dir) / "best_model"


def test_the_best_model_is_one_of_the_sparse(
    trained: Path, make_config: Callable[..., Config], records: Any, tmp_path: Path
) -> None:
    """An evaluation before the zeros are complete chooses none."""
    config = make_config(**{"Train.epochs": 1, "Eval.every": 2, "Global.output_dir": str(tmp_path / "recipe")})
    prune_weights(trained, tmp_path / "pruned", Sparsity(target=0.75, end=7, every=3), config)
    shares = zeros_in(tmp_path / "pruned")
    assert all(share >= 0.75 for name, share in shares.items() if name.endswith(MATRICES))
    assert all(share <= 0.755 for name, share in shares.items() if name.endswith(MATRICES))
    assert sum(name.endswith(MATRICES) for name in shares) == 8
    assert not any(share for name, share in shares.items() if "embeddings" in name and name.endswith("weight"))
    run = config.model_copy(
        update={"Global": config.Global.model_copy(update={"output_dir": str(tmp_path / "recipe" / "sparsity")})}
    )
    assert [line["step"] for line in records(run, "eval")] == [2, 4, 6, 8, 10]


def test_a_run_that_was_interrupted_goes_on(
    trained: Path, make_config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Sparsity(target=0.5, end=6, every=2)

    def prune(name: str) -> None:
        config = make_config(**{"Train.epochs": 1, "Global.output_dir": str(tmp_path / name)})
        prune_weights(trained, tmp_path / f"{name}-pruned", options, config)

    prune("whole")
    original = Recorder.progress

    def progress(self: Recorder, done: int) -> None:
        original(self, done)
        if done == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Recorder, "progress", progress)
    with pytest.raises(Interrupted):
        prune("parts")
    monkeypatch.setattr(Recorder, "progress", original)
    prune("parts")
    whole, parts = (read_weights(tmp_path / f"{name}-pruned") for name in ("whole", "parts"))
    for name, tensor in whole.items():
        assert (np.asarray(tensor) == np.asarray(parts[name])).all(), name


@pytest.mark.parametrize("schedule", [{"end": 11}, {"begin": 5, "end": 5}, {"begin": 0.6}])
def test_a_run_that_is_too_short(make_model: Callable[..., Any], schedule: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="of a run of 10; let it begin earlier, end within the run"):
        Zeros(make_model("ErnieModel"), PLAN, Sparsity(target=0.5, **schedule), 10)


def test_what_goes_without(make_config: Callable[..., Config], trained: Path) -> None:
    changes = {"Train.sparsity": {"target": 0.5}, "Distributed": {"sharding": 2, "sharding_stage": 2}}
    with pytest.raises(UserError, match="Train.sparsity needs whole weights; take stage 1"):
        make_config(**changes)
    with pytest.raises(UserError, match="goes without Train.sparsity"):
        make_config(**changes, **{"Tuning.lora": {}, "Global.pretrained_model": str(trained)})
