"""Adapters over several ranks: losses of one process, and a folder of the same network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ppernie import registry

STEPS = 6


def run(values: dict[str, Any]) -> list[tuple[float, float]]:
    """Losses and gradient norms of a run's steps, as its log has them."""
    import json

    from ppernie.config import parse_config
    from ppernie.engine.train import train

    train(parse_config(values))
    lines = Path(values["Global"]["output_dir"], "train_log.jsonl").read_text(encoding="utf-8").splitlines()
    records = [record for line in lines if (record := json.loads(line))["mode"] == "train"]
    return [(record["loss"], record["grad_norm"]) for record in records]


@pytest.fixture
def values(run_values: dict[str, Any], make_model: Callable[..., Any], arch: dict[str, Any]) -> Callable[..., Any]:
    """``values(name, **distributed)``: a run with LoRA on the encoder of a masked language model, without dropout."""
    import json

    from ppernie.zoo.description import ModelDescription
    from ppernie.zoo.folder import save_model

    root = Path(run_values["Global"]["output_dir"]).parent
    fields = {**arch, "vocab_size": 200, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    base = registry.arch_class("ernie3/ErnieForMaskedLM")(registry.arch_config("ernie3/ErnieForMaskedLM")(**fields))
    base.reset_parameters()
    description = ModelDescription(
        arch={"name": "ernie3/ErnieForMaskedLM", **fields}, task={"name": "masked_language_modeling"}, max_length=16
    )
    weights = {name: parameter.numpy() for name, parameter in base.named_parameters()}
    save_model(root / "base", weights, description, None, {})

    def make(name: str, batch_size: int = 4, **distributed: Any) -> dict[str, Any]:
        made = json.loads(json.dumps(run_values))
        made["Global"] |= {"output_dir": str(root / name), "pretrained_model": str(root / "base")}
        made["Arch"] |= fields
        made["Tuning"] = {"lora": {"rank": 3, "targets": ["*.self_attn.*", "*.feed_forward.*"]}}
        made["Train"] |= {"batch_size": batch_size, "accumulate_steps": 2, "max_steps": STEPS, "save_every": STEPS}
        made["Optimizer"] |= {"epsilon": 1e-6, "clip_norm": 0.5, "learning_rate": 2e-2}
        made["Eval"]["every"] = STEPS
        made["Distributed"] = distributed
        return made

    return make


TOPOLOGIES = [
    ("mp2", 2, 4, {"mp": 2}),
    ("pp2", 2, 4, {"pp": 2}),
    ("stage3", 2, 2, {"sharding": 2, "sharding_stage": 3}),
    ("sharding2", 2, 2, {"sharding": 2}),
    ("mp2-sp-recompute", 2, 4, {"mp": 2, "sequence_parallel": True, "recompute": "full"}),
    ("mp2-pp2", 4, 4, {"mp": 2, "pp": 2, "recompute": "selective"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "processes", "batch_size", "degrees"), TOPOLOGIES)
def test_losses_and_the_merged_model_are_those_of_one_process(
    name: str,
    processes: int,
    batch_size: int,
    degrees: dict[str, Any],
    values: Callable[..., dict[str, Any]],
    launch: Callable[..., Any],
) -> None:
    alone, several = values("alone"), values(name, batch_size, **degrees)
    expected = run(alone)
    assert len(expected) == STEPS and expected[-1] != pytest.approx(expected[0], rel=1e-2)
    job = launch(run, processes, several)
    for found, there in zip(job.results[0], expected, strict=True):
        assert found == pytest.approx(there, rel=1e-5)
    first, second = (
        load_file(Path(made["Global"]["output_dir"], "best_model", "model.safetensors")) for made in (alone, several)
    )
    assert first.keys() == second.keys()
    for parameter, array in first.items():
        np.testing.assert_allclose(second[parameter], array, atol=1e-5)


def test_recomputed_blocks_behind_a_frozen_table_learn(values: Callable[..., dict[str, Any]]) -> None:
    """In one process; fleet's recomputation gives nothing to a block whose input takes no gradient."""
    recomputed = run(values("recomputed", recompute="full"))
    assert recomputed == [pytest.approx(pair, rel=1e-6) for pair in run(values("alone"))]
