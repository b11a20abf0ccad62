"""A model folder made a checkpoint, under several ranks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.checkpoints.model_folder import as_checkpoint


def run(values: dict[str, Any], resume: str | None = None) -> list[float]:
    """Losses of a run's steps."""
    from ppernie.config import parse_config
    from ppernie.engine.train import train

    train(parse_config(values), resume)
    lines = Path(values["Global"]["output_dir"], "train_log.jsonl").read_text(encoding="utf-8").splitlines()
    return [record["loss"] for line in lines if (record := json.loads(line))["mode"] == "train"]


@pytest.mark.parametrize(
    ("degrees", "batch_size"),
    [({"mp": 2}, 4), pytest.param({"sharding": 2}, 2, marks=pytest.mark.slow)],
)
def test_any_topology_begins_from_it(
    degrees: dict[str, int],
    batch_size: int,
    run_values: dict[str, Any],
    tmp_path: Path,
    launch: Callable[..., Any],
) -> None:
    arch = run_values["Arch"] | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "vocab_size": 200}

    def values(name: str, batch_size: int = 4, **degrees: int) -> dict[str, Any]:
        return {
            **run_values,
            "Arch": arch,
            "Global": {**run_values["Global"], "output_dir": str(tmp_path / name)},
            "Train": {**run_values["Train"], "batch_size": batch_size, "max_steps": 5},
            "Optimizer": {**run_values["Optimizer"], "epsilon": 1e-6},
            "Distributed": degrees,
        }

    first = run(values("first"))
    as_checkpoint(tmp_path / "first" / "best_model", tmp_path / "checkpoint")
    alone = run(values("alone"), str(tmp_path / "checkpoint"))
    job = launch(run, 2, values("ranks", batch_size, **degrees), str(tmp_path / "checkpoint"))
    assert job.results[0] == pytest.approx(alone, rel=1e-5)
    assert alone[0] != first[0]
