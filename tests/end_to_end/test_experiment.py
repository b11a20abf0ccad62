"""An experiment as users start it: trained, killed, gone on with, and with a variant that cannot run."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def write(tmp_path: Path, run_values: dict[str, Any]) -> Any:
    """Writes an experiment of two stages; ``variants`` beside the baseline."""
    run_values["Train"] |= {"epochs": 1, "max_steps": 8, "save_every": 2}
    run_values["Eval"]["every"] = 4
    pretrain = copy.deepcopy(run_values)
    pretrain["Arch"]["name"] = "ernie3/ErnieForMaskedLM"
    pretrain["Task"]["name"] = "masked_language_modeling"
    run_values["Arch"] = {"name": "ernie3/ErnieForSequenceClassification"}
    for name, values in (("pretrain", pretrain), ("finetune", run_values)):
        (tmp_path / f"{name}.yaml").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")

    def make(**variants: Any) -> list[str]:
        values = {
            "name": "masking",
            "question": "Does masking more help?",
            "seeds": [1, 2],
            "stages": {
                "pretrain": {"config": str(tmp_path / "pretrain.yaml")},
                "finetune": {"config": str(tmp_path / "finetune.yaml"), "pretrained": "pretrain"},
            },
            "variants": {"little": {}, **variants},
            "report": {
                "baseline": "little",
                "columns": {
                    "perplexity": {"stage": "pretrain", "metric": "perplexity", "better": "lower"},
                    "accuracy": {"stage": "finetune", "better": "higher"},
                },
                "curves": {
                    "loss": {"stage": "pretrain", "metric": "loss", "better": "lower", "x": "tokens", "time_to": "best"}
                },
            },
        }
        path = tmp_path / "experiment.yaml"
        path.write_text(json.dumps(values), encoding="utf-8")
        script = str(Path(__file__).resolve().parents[2] / "tools" / "experiment.py")
        return [sys.executable, script, "-c", str(path), "--jobs", "2", "--out", str(tmp_path / "out")]

    return make


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True)


def moments(out: Path) -> dict[str, int]:
    """When each finished run has written its results."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("runs/*/train_results.json")}


def processes(out: Path) -> list[str]:
    """Processes at work on runs of the experiment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        if f"{out}/runs/" in text:
            found.append(text.replace("\0", " "))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere runs outlive an experiment that is killed")
def test_an_experiment_that_is_killed_goes_on_and_grows(write: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = write(much={"pretrain": {"override": {"Task": {"mask_rate": 0.5}}}})
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(process, out, "runs/*")
    refused = run(command)
    assert refused.returncode == 2 and f"another process ({process.pid}) is running" in refused.stderr
    # Killed while fine-tuning: something is finished, something half done, something not begun.
    wait_for(process, out, "runs/finetune-*/checkpoints/step_*")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    finished = moments(out)
    for _ in range(100):
        if not processes(out):
            break
        time.sleep(0.05)
    assert processes(out) == []
    assert finished and not (out / "results.md").exists()

    # A variant without data is told of; all others are finished.
    broken = {"pretrain": {"override": {"Data": {"train": {"files": "nowhere.jsonl"}}}}}
    command = write(much={"pretrain": {"override": {"Task": {"mask_rate": 0.5}}}}, broken=broken)
    ended = run(command)
    assert ended.returncode == 1, ended.stderr
    assert "nowhere.jsonl" in ended.stdout
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert {variant: entry["spread"] is not None for variant, entry in results["training_seconds"].items()} == {
        "little": True,
        "much": True,
        "broken": False,
    }
    assert moments(out).items() >= finished.items()
    for cell in results["runs"]:
        assert ("failure" in cell) == (cell["variant"] == "broken")
        if cell["stage"] == "finetune" and cell["variant"] != "broken":
            assert cell["results"]["steps"] == 8
            (parent,) = [row["folder"] for row in results["runs"] if row["stage"] == "pretrain" and same(row, cell)]
            config = (out / cell["folder"] / "run.yaml").read_text(encoding="utf-8")
            assert f"{out / parent}/best_model" in config
    column = results["columns"]["perplexity"]["variants"]
    assert set(column["little"]["seeds"]) == {"1", "2"}
    assert column["much"]["spread"]["mean"] > 1
    assert results["curves"]["loss"]["ratios"]["little"]["spread"]["mean"] == 1
    text = (out / "results.md").read_text(encoding="utf-8")
    assert "4 of 12 runs failed" in text and text.strip() in ended.stdout
    assert (out / "columns.png").stat().st_size > 1000 and (out / "curve_loss.png").stat().st_size > 1000


def wait_for(process: subprocess.Popen[str], out: Path, pattern: str) -> None:
    """Until something of this name is there."""
    while not list(out.glob(pattern)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return (one["variant"], one["seed"]) == (other["variant"], other["seed"])
