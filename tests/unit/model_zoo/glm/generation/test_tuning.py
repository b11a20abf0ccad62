"""Fine-tuning a GLM with few numbers: runs with LoRA and with prefixes, and texts written with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ppernie.config import load_config, parse_config
from ppernie.config.sections import Config
from ppernie.engine.evaluate import evaluate
from ppernie.engine.train import train
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import load_model, save_model

ROWS = [{"text": "the cat", "target": "sat"}, {"text": "a dog", "target": "ran"}, {"text": "birds", "target": "sing"}]
TUNINGS: dict[str, dict[str, Any]] = {
    "lora": {"lora": {"rank": 4}},
    "prefix": {"prefix": {"tokens": 6}},
    "projected": {"prefix": {"tokens": 6, "projection": 16}},
}


@pytest.fixture(scope="module")
def base(make_network: Callable[[str], Any], icetk: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = make_network("glm-130b")
    arch = {"name": "glm/GlmForBlankInfilling", **network.config.model_dump()}
    description = ModelDescription(arch=arch, task={"name": "glm/blank_infilling"}, max_length=64)
    weights = {name: parameter.numpy() for name, parameter in network.named_parameters()}
    folder = tmp_path_factory.mktemp("glm") / "base"
    save_model(folder, weights, description, icetk, {})
    return folder


@pytest.fixture
def make_config(base: Path, tmp_path: Path) -> Callable[..., Config]:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")

    def make(tuning: dict[str, Any], recompute: str = "none") -> Config:
        return parse_config(
            {
                "Global": {
                    "output_dir": str(tmp_path / "run"),
                    "device": "cpu",
                    "threads": 1,
                    "pretrained_model": str(base),
                },
                "Distributed": {"recompute": recompute},
                "Arch": {"name": "glm/GlmForBlankInfilling"},
                "Task": {"name": "glm/text_generation", "max_target_length": 8},
                "Data": {
                    "root": str(tmp_path),
                    "max_length": 32,
                    **{part: {"files": "rows.jsonl"} for part in ("train", "eval", "test")},
                },
                "Optimizer": {"learning_rate": 5e-2},
                "Train": {"epochs": 20, "batch_size": 3, "log_every": 1},
                "Tuning": tuning,
                "Eval": {"every": 20, "metric": "loss"},
            }
        )

    return make


@pytest.mark.parametrize("save", ["whole", "adapters"])
@pytest.mark.parametrize("kind", TUNINGS)
def test_a_run_learns_and_its_folder_writes_the_same(kind: str, save: str, make_config: Callable[..., Config]) -> None:
    config = make_config({**TUNINGS[kind], "save": save}, "full" if save == "whole" else "none")
    results = train(config)
    output = Path(config.Global.output_dir)
    log = [json.loads(line) for line in (output / "train_log.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [record["loss"] for record in log if record["mode"] == "train"]
    assert losses[-1] < 0.9 * losses[0]
    stored = load_file(output / "best_model" / ("adapters.safetensors" if save == "adapters" else "model.safetensors"))
    base = load_file(Path(config.Global.pretrained_model or "", "model.safetensors"))
    if save == "adapters":
        assert not stored.keys() & base.keys()
    elif kind == "lora":
        assert stored.keys() == base.keys()
    else:
        assert all(np.array_equal(stored[name], array) for name, array in base.items())
    network, task, _ = load_model(output / "best_model")
    network.eval()
    items = [item for row in ROWS for item in task.expand(row, True)]
    assert evaluate(network, task, items, 3) == pytest.approx(results["test"], rel=1e-4)


@pytest.mark.parametrize("path", sorted((Path(__file__).resolve().parents[5] / "configs/glm/finetune").glob("*.yaml")))
def test_the_shipped_configs_load(path: Path, base: Path) -> None:
    config = load_config(path, [f"Global.pretrained_model={base}", "Data.max_length=64"])
    assert config.Tuning.on and config.Task.name == "glm/text_generation"


def test_a_shipped_config_learns_from_what_its_comment_makes(
    repository: Path, shared_data: Path, base: Path, tmp_path: Path
) -> None:
    """The base is a pretrained network with its tokenizer; the rows are GSM8K's, cut as the config says."""
    rows = (shared_data / "gsm8k" / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    for name, part in (("train", rows[:6]), ("dev", rows[7000:7003])):
        (tmp_path / f"{name}.jsonl").write_text("".join(part), encoding="utf-8")
    overrides = [
        *(f"Global.{key}={value}" for key, value in (("output_dir", tmp_path / "run"), ("pretrained_model", base))),
        *(f"Data.{key}={value}" for key, value in (("root", tmp_path), ("workers", 0), ("max_length", 64))),
        *("Global.device=cpu", "Global.threads=1", "Task.max_target_length=8", "Train.epochs=1", "Train.batch_size=2"),
    ]
    results = train(load_config(repository / "configs/glm/finetune/gsm8k_prefix.yaml", overrides))
    assert "rouge_l" in results
    assert (tmp_path / "run" / "best_model" / "adapters.safetensors").exists()
