from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ppernie.config.sections import Config
from ppernie.engine import trainer
from ppernie.engine.train import train
from ppernie.errors import UserError

Make = Callable[..., Config]
Records = Callable[..., list[dict[str, Any]]]

NUMBER = r"\d+\.\d+"
LINE = re.compile(
    rf"\[Train\]\[Epoch \d+/\d+\]\[Iter \d+/\d+\] lr: \d\.\de[+-]\d\d, loss: \d+\.\d{{5}}, grad_norm: \d+\.\d\d, "
    rf"reader_cost: {NUMBER} s, batch_cost: {NUMBER} s, ips: {NUMBER} samples/s, tokens/s: \d+, eta: \d+:\d\d:\d\d$"
)


def folder_of(config: Config) -> Path:
    return Path(config.Global.output_dir)


def test_every_logged_step_has_a_line_and_a_record(make_config: Make, records: Records) -> None:
    config = make_config(**{"Train.log_every": 3})
    train(config)
    log = (folder_of(config) / "train.log").read_text(encoding="utf-8").splitlines()
    lines = [line.partition("INFO: ")[2] for line in log if "[Train]" in line]
    assert all(LINE.match(line) for line in lines)
    found = records(config)
    assert [record["step"] for record in found] == [3, 6, 9, 12, 15, 18, 20]
    assert len(lines) == len(found)
    assert "[Epoch 2/2][Iter 2/10]" in lines[3]
    assert set(found[0]) == {
        *("mode", "step", "epoch", "epochs", "iter", "iters", "lr", "loss", "grad_norm"),
        *("reader_cost", "batch_cost", "ips", "tokens_per_second", "eta"),
    }
    assert found[-1]["eta"] == 0.0
    assert [(r["epoch"], r["iter"]) for r in found] == [(1, 3), (1, 6), (1, 9), (2, 2), (2, 5), (2, 8), (2, 10)]


def test_the_output_folder_holds_what_programs_rely_on(make_config: Make, records: Records) -> None:
    config = make_config(**{"Data.test": {"files": "test.jsonl"}})
    results = train(config)
    folder = folder_of(config)
    assert {path.name for path in folder.iterdir()} - {".lock"} == {
        *("config.yaml", "train.log", "train_log.jsonl", "vdl", "checkpoints", "best_model", "train_results.json")
    }
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"step_00000015", "step_00000020"}
    assert list((folder / "vdl").glob("vdlrecords.*.log"))
    assert json.loads((folder / "train_results.json").read_text(encoding="utf-8")) == results
    assert set(results) == {*("steps", "best_step", "metric", "test", "loss"), *trainer_metrics()}
    assert set(results["test"]) == {"loss", *trainer_metrics()}
    assert [record["step"] for record in records(config, "eval")] == [5, 10, 15, 20]


def trainer_metrics() -> tuple[str, ...]:
    return ("accuracy", "macro_f1", "micro_f1", "mcc")


def test_a_run_learns(make_config: Make, records: Records) -> None:
    config = make_config(**{"Train.epochs": 30, "Train.save_every": 300, "Eval.every": 60})
    results = train(config)
    losses = [record["loss"] for record in records(config)]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) * 0.75
    assert results["accuracy"] > 0.6


def test_evaluations_and_checkpoints_follow_the_epochs_by_default(make_config: Make, records: Records) -> None:
    config = make_config(**{"Train.save_every": None, "Eval.every": None, "Train.keep_last": 5})
    train(config)
    assert [record["step"] for record in records(config, "eval")] == [10, 20]
    assert len(list((folder_of(config) / "checkpoints").iterdir())) == 2


def test_runs_are_decided_by_the_seed(
    make_config: Make, tmp_path: Path, remains: Callable[..., Any], assert_equal: Callable[..., None]
) -> None:
    found = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        config = make_config(**{"Global.output_dir": str(tmp_path / name), "Global.seed": seed})
        train(config)
        found.append(remains(config))
    assert_equal(found[0], found[1])
    assert any(not np.array_equal(found[0][name], found[2][name]) for name in found[0] if "step_" in name)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, np.ndarray]]]:
    """Makes evaluations return given values; keeps the weights that each of them saw."""

    def set_values(values: list[float], metric: str = "accuracy") -> list[dict[str, np.ndarray]]:
        seen: list[dict[str, np.ndarray]] = []

        def evaluate(model: Any, *rest: Any) -> dict[str, float]:
            seen.append({name: np.array(p.numpy()) for name, p in model.named_parameters()})
            return {"accuracy": 0.5, "loss": 1.0, metric: values[len(seen) - 1]}

        monkeypatch.setattr(trainer, "evaluate", evaluate)
        return seen

    return set_values


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("accuracy", [0.2, 0.7, 0.7, 0.6], 1),
        ("loss", [0.9, 0.8, 0.3, 0.5], 2),
        ("accuracy", [float("nan"), 0.1, float("nan"), 0.05], 1),
        ("accuracy", [0.0, -0.5, -0.1, -0.2], 0),
    ],
)
def test_the_best_model_is_the_best(
    make_config: Make, script: Callable[..., Any], metric: str, values: list[float], best: int
) -> None:
    seen = script(values, metric)
    config = make_config(**{"Eval.metric": metric})
    results = train(config)
    assert (results["best_step"], results["metric"], results[metric]) == (5 * (best + 1), metric, values[best])
    kept = load_file(folder_of(config) / "best_model" / "model.safetensors")
    for name, value in seen[best].items():
        np.testing.assert_array_equal(kept[name], value)


def test_a_lower_perplexity_is_better(make_config: Make, script: Callable[..., Any], tmp_path: Path) -> None:
    script([30.0, 20.0, 25.0, 40.0], "perplexity")
    (tmp_path / "text.txt").write_text("北京市\n\n一心一意\n" * 14, encoding="utf-8")
    results = train(
        make_config(
            **{
                "Arch.name": "ernie3/ErnieForMaskedLM",
                "Task": {"name": "masked_language_modeling"},
                "Data.train": {"files": "text.txt"},
                "Data.eval": {"files": "text.txt"},
                "Train.max_steps": 20,
                "Train.epochs": 20,
                "Eval.metric": "perplexity",
            }
        )
    )
    assert (results["best_step"], results["perplexity"]) == (10, 20.0)


def test_early_stopping_counts_evaluations_without_gain(make_config: Make, script: Callable[..., Any]) -> None:
    script([0.1, 0.3, 0.3, 0.2, 0.9, 0.9])
    config = make_config(**{"Eval.early_stopping": 2, "Train.epochs": 5})
    assert train(config)["steps"] == 20
    assert json.loads((folder_of(config) / "best_model" / "metrics.json").read_text())["step"] == 10


def test_an_unknown_metric_is_named(make_config: Make) -> None:
    with pytest.raises(UserError, match=r"Eval\.metric 'bleu' is none of this task's: accuracy, .*, loss"):
        train(make_config(**{"Eval.metric": "bleu"}))


def test_without_an_evaluation_set_the_last_model_is_kept(make_config: Make) -> None:
    config = make_config(**{"Data.eval": None})
    assert train(config) == {"steps": 20}
    folder = folder_of(config)
    last = load_file(folder / "checkpoints" / "step_00000020" / "rank_00000.safetensors")
    for name, value in load_file(folder / "best_model" / "model.safetensors").items():
        np.testing.assert_array_equal(value, last[f"model/{name}"])


def test_max_steps_ends_a_run_inside_an_epoch(make_config: Make, records: Records) -> None:
    config = make_config(**{"Train.max_steps": 13})
    assert train(config)["steps"] == 13
    assert [record["step"] for record in records(config, "eval")] == [5, 10, 13]
    assert (folder_of(config) / "checkpoints" / "step_00000013").is_dir()


@pytest.mark.parametrize("beside", [False, True])
def test_a_full_disk_ends_a_run_with_its_last_checkpoint(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    from ppernie.checkpoints import writing

    original, calls = writing.write_rank, []

    def write(folder: Path, *rest: Any) -> Any:
        calls.append(folder)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return original(folder, *rest)

    monkeypatch.setattr(writing, "write_rank", write)
    config = make_config(**{"Train.async_save": beside})
    with pytest.raises(UserError, match="step_00000010: the disk is full"):
        train(config)
    assert [p.name for p in (folder_of(config) / "checkpoints").iterdir()] == ["step_00000005"]
    assert train(config, "auto")["steps"] == 20
