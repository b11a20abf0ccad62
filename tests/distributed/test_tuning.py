"""Adapters over several ranks: losses of one process, and a folder of the same network."""

from __future__ import annotations

import json
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
    from ppernie.config import parse_config
    from ppernie.engine.train import train

    train(parse_config(values))
    lines = Path(values["Global"]["output_dir"], "train_log.jsonl").read_text(encoding="utf-8").splitlines()
    records = [record for line in lines if (record := json.loads(line))["mode"] == "train"]
    return [(record["loss"], record["grad_norm"]) for record in records]


LORA = {"lora": {"rank": 3, "targets": ["*.self_attn.*", "*.feed_forward.*"]}}
GLM: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
    "normalization": "deepnorm",
    "positions": "rotary_1d",
    "feed_forward": "geglu",
    "layer_norm_eps": 1e-5,
    "attention_dropout_prob": 0.0,
    "hidden_dropout_prob": 0.0,
}


@pytest.fixture
def make_base(tmp_path: Path) -> Callable[..., str]:
    """A model folder with drawn weights."""

    def make(arch: str, task: str, fields: dict[str, Any], tokenizer: Any = None) -> str:
        from ppernie.zoo.description import ModelDescription
        from ppernie.zoo.folder import save_model

        network = registry.arch_class(arch)(registry.arch_config(arch)(**fields))
        network.reset_parameters()
        weights = {name: parameter.numpy() for name, parameter in network.named_parameters()}
        description = ModelDescription(arch={"name": arch, **fields}, task={"name": task}, max_length=16)
        save_model(tmp_path / "base", weights, description, tokenizer, {})
        return str(tmp_path / "base")

    return make


@pytest.fixture
def values(
    run_values: dict[str, Any], arch: dict[str, Any], make_base: Callable[..., str], tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """``values(name, tuning, batch_size, **distributed)``: LoRA on an encoder, prefixes on a GLM; without dropout."""
    encoder = {**arch, "vocab_size": 200, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    bases: dict[str, str] = {}

    def make(name: str, tuning: dict[str, Any], batch_size: int = 4, **distributed: Any) -> dict[str, Any]:
        made = json.loads(json.dumps(run_values))
        if "lora" in tuning:
            made["Arch"] |= encoder
            if not bases:
                bases["base"] = make_base("ernie3/ErnieForMaskedLM", "masked_language_modeling", encoder)
        else:
            made["Arch"] = {"name": "glm/GlmForBlankInfilling", **GLM}
            made["Task"] = {"name": "glm/text_generation", "max_target_length": 6}
            # At evaluation a GLM writes texts, which no pipeline does.
            made["Data"] |= {"fields": {"target": "label"}, "max_length": 16, "eval": None}
            if not bases:
                from ppernie.data.tokenizers.training import train_icetk

                tokenizer = train_icetk(["the cat sat on the mat", "a dog ran after it", "雨中山果落"] * 9, 372)
                bases["base"] = make_base("glm/GlmForBlankInfilling", "glm/blank_infilling", GLM, tokenizer)
        made["Global"] |= {"output_dir": str(tmp_path / name), "pretrained_model": bases["base"]}
        made["Tuning"] = tuning
        made["Train"] |= {"batch_size": batch_size, "accumulate_steps": 2, "max_steps": STEPS, "save_every": STEPS}
        made["Optimizer"] |= {"epsilon": 1e-6, "clip_norm": 0.5, "learning_rate": 2e-2}
        made["Eval"] |= {"every": STEPS, "metric": "loss"}
        made["Distributed"] = distributed
        return made

    return make


PREFIX = {"prefix": {"tokens": 3}}
PROJECTED = {"prefix": {"tokens": 3, "projection": 5}}
TOPOLOGIES = [
    ("mp2", 2, 4, {"mp": 2}, LORA),
    ("pp2", 2, 4, {"pp": 2}, LORA),
    ("stage3", 2, 2, {"sharding": 2, "sharding_stage": 3}, LORA),
    ("sharding2", 2, 2, {"sharding": 2}, LORA),
    ("mp2-sp-recompute", 2, 4, {"mp": 2, "sequence_parallel": True, "recompute": "full"}, LORA),
    ("mp2-pp2", 4, 4, {"mp": 2, "pp": 2, "recompute": "selective"}, LORA),
    ("mp2-prefix", 2, 4, {"mp": 2}, PREFIX),
    ("mp2-pp2-projected", 4, 4, {"mp": 2, "pp": 2, "recompute": "full"}, PROJECTED),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "processes", "batch_size", "degrees", "tuning"), TOPOLOGIES)
def test_losses_and_the_merged_model_are_those_of_one_process(
    name: str,
    processes: int,
    batch_size: int,
    degrees: dict[str, Any],
    tuning: dict[str, Any],
    values: Callable[..., dict[str, Any]],
    launch: Callable[..., Any],
) -> None:
    alone, several = values("alone", tuning), values(name, tuning, batch_size, **degrees)
    expected = run(alone)
    assert len(expected) == STEPS and all(norm > 0 for _, norm in expected)
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
    recomputed = run(values("recomputed", LORA, recompute="full"))
    assert recomputed == [pytest.approx(pair, rel=1e-6) for pair in run(values("alone", LORA))]
