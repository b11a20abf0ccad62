"""A small experiment: words of the tiny world, pretrained on and then told apart by kind."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def experiment_values(tmp_path: Path, run_values: dict[str, Any]) -> dict[str, Any]:
    """Keys of an experiment file: two variants of a pretraining, fine-tuned on two tasks, over two seeds."""
    run_values["Global"] = {"output_dir": "unused", "device": "cpu", "threads": 1}
    run_values["Train"] |= {"epochs": 1, "max_steps": 6}
    run_values["Eval"]["every"] = 2
    pretrain = copy.deepcopy(run_values)
    pretrain["Arch"]["name"] = "ernie3/ErnieForMaskedLM"
    pretrain["Task"]["name"] = "masked_language_modeling"
    # Whatever the network of the pretraining is, the fine-tuning takes it.
    run_values["Arch"] = {"name": "ernie3/ErnieForSequenceClassification"}
    for name, values in (("pretrain", pretrain), ("finetune", run_values)):
        (tmp_path / f"{name}.yaml").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    finetune = {"config": str(tmp_path / "finetune.yaml"), "metric": "accuracy"}
    return {
        "name": "masking",
        "question": "Does masking more help?",
        "seeds": [1, 2],
        "stages": {
            "pretrain": {"config": str(tmp_path / "pretrain.yaml"), "metric": "loss"},
            "finetune": {
                "pretrained": "pretrain",
                "each": {
                    "words": finetune,
                    "few": {**finetune, "override": {"Data": {"train": {"limit": 20}}}},
                },
            },
        },
        "variants": {
            "little": {"pretrain": {"override": {"Task": {"mask_rate": 0.15}}}},
            "much": {"pretrain": {"override": {"Task": {"mask_rate": 0.5}}}},
        },
        "report": {
            "baseline": "little",
            "columns": {
                "loss": {"stage": "pretrain", "better": "lower"},
                "words": {"stage": "finetune", "task": "words", "better": "higher"},
                "mean": {"stage": "finetune", "better": "higher"},
            },
            "curves": {
                "pretraining": {"stage": "pretrain", "better": "lower", "x": "seconds", "time_to": "best"},
            },
        },
    }


@pytest.fixture
def write_experiment(tmp_path: Path, experiment_values: dict[str, Any]) -> Callable[..., str]:
    """Writes the small experiment with keys changed, such as ``**{"report.baseline": "much"}``."""

    def write(**changes: Any) -> str:
        values = copy.deepcopy(experiment_values)
        for key, value in changes.items():
            *path, last = key.split(".")
            section = values
            for step in path:
                section = section.setdefault(step, {})
            if value is ...:
                del section[last]
            else:
                section[last] = value
        path = tmp_path / "experiment.yaml"
        # JSON is YAML.
        path.write_text(json.dumps(values, indent=1, ensure_ascii=False), encoding="utf-8")
        return str(path)

    return write


# Stands in for ppernie train: metrics from the seed and the mask rate, and what the test asks for by the mask rate.
TRAIN = """
import json, pathlib, re, sys, time
text = pathlib.Path(sys.argv[2]).read_text()
folder = pathlib.Path(sys.argv[2]).parent
seed, rate = int(re.search(r"seed: (\\d+)", text)[1]), re.search(r"mask_rate: ([\\d.]+)", text)
parent = re.search(r"pretrained_model: (\\S*runs\\S*)", text)
assert parent is None or (pathlib.Path(parent[1]).parent / "train_results.json").exists(), "began before its parent"
(folder / "began").write_text(str(time.time()))
if rate and rate[1] == "0.9":
    sys.exit("error: no such data; give some")
if rate and rate[1] == "0.8":
    time.sleep(60)
time.sleep(0.1)
loss = seed + (float(rate[1]) if rate else 0)
log = [
    {"mode": mode, "step": step, "batch_cost": 0.5, "tokens_per_second": 100.0, "loss": loss + 4 - step}
    for step in (2, 4) for mode in ("train", "eval")
]
(folder / "train_log.jsonl").write_text("".join(json.dumps(record) + "\\n" for record in log))
results = {"steps": 4, "accuracy": seed / 10, "loss": loss, "best_step": 4, "metric": "loss"}
(folder / "train_results.json").write_text(json.dumps(results))
(folder / "ended").write_text(str(time.time()))
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs take a moment and leave results that are known beforehand."""
    from ppernie.experiments import runner

    script = tmp_path / "train.py"
    script.write_text(TRAIN, encoding="utf-8")
    monkeypatch.setattr(runner, "_TRAIN", (sys.executable, str(script)))
