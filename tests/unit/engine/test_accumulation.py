from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ppernie.config.sections import Config
from ppernie.engine.train import train

PLACES = ["北京", "哈尔滨", "乌鲁木齐市", "上海市"]


@pytest.fixture
def tagged(tmp_path: Path) -> dict[str, Any]:
    """Sixteen sentences with 3 to 18 tokens, for a network without dropout."""
    with (tmp_path / "tags.jsonl").open("w", encoding="utf-8") as file:
        for number in range(16):
            place, rest = PLACES[number % 4], "张三住在" * (number // 4)
            tags = ["B-LOC", *["I-LOC"] * (len(place) - 1), *["O"] * (len(rest) + 1)]
            file.write(json.dumps({"tokens": [*place, *rest, "。"], "tags": tags}) + "\n")
    return {
        "Arch.name": "ernie3/ErnieForTokenClassification",
        "Task": {"name": "token_classification"},
        "Data.train": {"files": "tags.jsonl"},
        "Data.eval": None,
        "Data.max_length": 32,
    }


@pytest.mark.parametrize("task", ["sequence", "token"])
def test_four_batches_of_four_are_one_of_sixteen(
    make_config: Callable[..., Config],
    records: Callable[..., list[dict[str, Any]]],
    tmp_path: Path,
    tagged: dict[str, Any],
    task: str,
) -> None:
    changes = {
        "Arch.hidden_dropout_prob": 0.0,
        "Arch.attention_probs_dropout_prob": 0.0,
        "Optimizer.clip_norm": None,
        "Optimizer.schedule.warmup": 0,
        "Train.epochs": 1,
        "Train.save_every": None,
        "Eval.every": None,
    }
    changes |= tagged if task == "token" else {}
    count = 16 if task == "token" else 40
    found = []
    for batch_size, accumulate in ((count, 1), (4, count // 4)):
        sizes = {"Train.batch_size": batch_size, "Train.accumulate_steps": accumulate}
        config = make_config(**changes, **sizes, **{"Global.output_dir": str(tmp_path / f"run{accumulate}")})
        assert train(config)["steps"] == 1
        (record,) = records(config)
        moments = load_file(tmp_path / f"run{accumulate}" / "checkpoints" / "step_00000001" / "rank_00000.safetensors")
        # After one update the first moment is the gradient times 1 - beta1.
        gradient = {name: value for name, value in moments.items() if name.endswith("moment1")}
        found.append((record["loss"], record["grad_norm"], gradient))
    (loss, norm, gradient), (other_loss, other_norm, other_gradient) = found
    assert other_loss == pytest.approx(loss, rel=1e-6)
    assert other_norm == pytest.approx(norm, rel=1e-6)
    difference = sum(float(np.sum((gradient[n] - other_gradient[n]) ** 2.0)) for n in gradient)
    total = sum(float(np.sum(value**2.0)) for value in gradient.values())
    assert np.sqrt(difference / total) < 1e-6


def test_an_epoch_ends_with_a_smaller_group(
    make_config: Callable[..., Config], records: Callable[..., list[dict[str, Any]]]
) -> None:
    config = make_config(**{"Train.accumulate_steps": 4})
    assert train(config)["steps"] == 6
    assert [(record["epoch"], record["iter"], record["iters"]) for record in records(config)] == [
        (epoch, number, 3) for epoch in (1, 2) for number in (1, 2, 3)
    ]
