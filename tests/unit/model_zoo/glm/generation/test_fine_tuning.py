"""A pretrained GLM learns to answer, and its folder answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.config.sections import Config
from ppernie.data.tokenizers import GlmTokenizer
from ppernie.engine.train import train
from ppernie.inference.pipeline import open_pipeline
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import save_model

ANSWERS = {"the cat": "sat on the mat", "a dog": "ran after the bird", "birds": "sing", "雨中": "山果落"}


@pytest.mark.parametrize("form", ["glm", "glm-130b"])
def test_what_was_learnt_is_answered(
    form: str,
    make_network: Callable[[str], Any],
    icetk: GlmTokenizer,
    make_config: Callable[..., Config],
    tmp_path: Path,
) -> None:
    network = make_network(form)
    network.reset_parameters()
    arch = {"name": "glm/GlmForBlankInfilling", **network.config.model_dump()}
    weights = {name: parameter.numpy() for name, parameter in network.named_parameters()}
    description = ModelDescription(arch=arch, task={"name": "glm/blank_infilling"}, max_length=64)
    save_model(tmp_path / "pretrained", weights, description, icetk, {})
    rows = [json.dumps({"text": text, "target": target}) for text, target in ANSWERS.items()]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows * 8), encoding="utf-8")
    config = make_config(
        **{
            "Arch": {"name": "glm/GlmForBlankInfilling"},
            "Global.pretrained_model": str(tmp_path / "pretrained"),
            "Task": {"name": "glm/text_generation", "max_target_length": 16},
            "Data.tokenizer": None,
            "Data.max_length": 48,
            "Data.train": {"files": "rows.jsonl"},
            "Data.eval": {"files": "rows.jsonl", "limit": 4},
            "Optimizer.learning_rate": 0.01,
            "Train.max_steps": 160,
            "Train.epochs": 20,
            "Eval.every": 160,
        }
    )
    assert train(config)["rouge_l"] == 1.0
    pipeline = open_pipeline(tmp_path / "run" / "best_model", device="cpu", threads=1)
    assert [answer["text"] for answer in pipeline(list(ANSWERS))] == list(ANSWERS.values())
