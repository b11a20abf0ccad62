"""Runs in order, several at a time, after failures and interruptions, and the report that they end in."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.cli.main import main

pytestmark = pytest.mark.usefixtures("stand_in")

HOLD = """
import sys
from pathlib import Path
from ppernie.files import take_lock

lock = take_lock(Path(sys.argv[1]), "")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def run(write_experiment: Callable[..., str], tmp_path: Path) -> Callable[..., int]:
    """The command on the small experiment with keys changed; its exit status."""

    def command(*arguments: str, **changes: Any) -> int:
        return main(["experiment", "-c", write_experiment(**changes), "--out", str(tmp_path / "out"), *arguments])

    return command


def moments(out: Path, name: str) -> dict[str, float]:
    return {path.parent.name: float(path.read_text()) for path in out.glob(f"runs/*/{name}")}


def test_results(run: Callable[..., int], tmp_path: Path) -> None:
    assert run("--jobs", "2") == 0
    out = tmp_path / "out"
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    # The stand-in's loss is seed + mask rate, its accuracy seed / 10.
    loss = results["columns"]["loss"]["variants"]
    assert loss["little"]["seeds"] == pytest.approx({"1": 1.15, "2": 2.15})
    assert loss["much"]["difference"] == pytest.approx({"mean": 0.35, "std": 0.0, "n": 2})
    assert results["columns"]["mean"]["variants"]["much"]["spread"]["mean"] == pytest.approx(0.15)
    # 4 steps of 0.5 s in each of three runs.
    assert results["training_seconds"]["much"]["seeds"] == {"1": 6.0, "2": 6.0}
    curve = results["curves"]["pretraining"]
    assert curve["points"]["much"]["1"]["x"] == [1.0, 2.0]
    assert curve["times"]["little"]["seeds"] == {"1": 2.0, "2": 2.0}
    assert curve["times"]["much"]["seeds"] == {}
    text = (out / "results.md").read_text(encoding="utf-8")
    for part in (
        "Does masking more help?",
        "n = 2 seeds (1, 2)",
        f"--jobs 2 --out {out}`",
        "| much    | 2.00 ± 0.71 | 0.150 ± 0.071 | 0.150 ± 0.071 |",
        "0 of 2",
    ):
        assert part in text
    assert "failed" not in text
    for name in ("columns.png", "curve_pretraining.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
        assert f"({name})" in text


def test_variants_are_compared_with_others_than_the_baseline(run: Callable[..., int], tmp_path: Path) -> None:
    more = {"variants.more": {"pretrain": {"override": {"Task": {"mask_rate": 0.6}}}}}
    assert run(**more, **{"report.compare": [["more", "much"], ["little", "more"]]}) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert [(row["variant"], row["other"]) for row in results["comparisons"]] == [("more", "much"), ("little", "more")]
    first, second = results["comparisons"]
    assert first["columns"]["loss"] == pytest.approx({"mean": 0.1, "std": 0.0, "n": 2})
    assert second["columns"]["loss"] == pytest.approx({"mean": -0.45, "std": 0.0, "n": 2})
    assert first["seconds"] == {"mean": 0.0, "std": 0.0, "n": 2}
    text = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    _, table = text.split("Differences of other pairs, paired by seed:")
    assert table.index("| more less much   | +0.1000 ") < table.index("| little less more | -0.4500 ")


def test_a_loss_is_told_as_perplexity(run: Callable[..., int], tmp_path: Path) -> None:
    changes = {
        "report.columns.perplexity": {"stage": "pretrain", "metric": "loss", "better": "lower", "perplexity": True},
        "report.curves.pretraining.perplexity": True,
    }
    assert run(**changes) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    loss, perplexity = (results["columns"][name]["variants"]["much"] for name in ("loss", "perplexity"))
    assert perplexity["seeds"] == pytest.approx({seed: math.exp(value) for seed, value in loss["seeds"].items()})
    # The mean of the runs' perplexities, not that of their mean loss.
    assert perplexity["spread"]["mean"] == pytest.approx((math.exp(1.5) + math.exp(2.5)) / 2)
    values = results["curves"]["pretraining"]["points"]["much"]["1"]["values"]
    assert values == pytest.approx([math.exp(1.5 + 4 - step) for step in (2, 4)])
    assert "evaluation's exp(loss) is as good as" in (tmp_path / "out" / "results.md").read_text(encoding="utf-8")


def test_finished_runs_are_not_repeated_and_the_report_is_the_same(run: Callable[..., int], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run() == 0
    began, files = moments(out, "began"), {path.name: path.read_bytes() for path in out.glob("*.*g")}
    assert len(files) == 2
    assert run() == 0
    assert moments(out, "began") == began
    assert {path.name: path.read_bytes() for path in out.glob("*.*g")} == files
    # Another variant adds runs, and a third seed.
    extra = {"seeds": [1, 2, 3], "variants.more": {"pretrain": {"override": {"Task": {"mask_rate": 0.6}}}}}
    assert run(**extra) == 0
    assert len(moments(out, "began")) == 3 * 3 * 3
    assert moments(out, "began").items() >= began.items()


def test_jobs_run_side_by_side(run: Callable[..., int], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("--jobs", "3") == 0
    began, ended = moments(out, "began"), moments(out, "ended")
    most = max(sum(began[name] <= moment < ended[name] for name in began) for moment in began.values())
    assert 2 <= most <= 3


def test_a_run_that_fails_is_told_and_the_rest_goes_on(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(**{"variants.broken": {"pretrain": {"override": {"Task": {"mask_rate": 0.9}}}}}) == 1
    told = capsys.readouterr().out
    assert "pretrain, broken, seed 1 failed: exit status 1" in told
    assert "error: no such data; give some" in told
    assert "finetune-few, broken, seed 2 failed: not started: pretrain, broken, seed 2 failed" in told
    text = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "6 of 18 runs failed" in text
    assert "| broken  | -" in text
    assert "| much    | 2.00 ± 0.71" in text


def test_a_metric_that_no_run_has_is_found_at_the_first(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(**{"stages.pretrain.metric": "los"}) == 1
    told = capsys.readouterr().out
    assert "has no metric 'los'; it has accuracy, loss" in told
    assert told.count("ERROR: finetune") == 8


def test_progress_has_an_eta(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-o", "seeds=[4]") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if ", eta: " in line]
    assert len(lines) == 6
    assert "[1/6] pretrain, little, seed 4: loss 4.1500 in 0 s, eta: 0:00:0" in lines[0]
    assert lines[-1].endswith("eta: 0:00:00")


def test_an_interrupted_experiment_ends_its_runs(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    def interrupt() -> None:
        while len(moments(out, "began")) < 4:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    began = time.monotonic()
    assert run(**{"variants.much.pretrain.override.Task.mask_rate": 0.8}) == 130
    thread.join()
    assert time.monotonic() - began < 30
    assert "interrupted; 3 of 12 runs are finished. The same command goes on" in capsys.readouterr().err
    assert not (out / "results.md").exists()


def test_a_folder_is_one_experiments_and_one_processs(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout
    assert other.stdout.readline() == "held\n"
    assert run() == 2
    other.communicate()
    assert f"another process ({other.pid}) is running an experiment here" in capsys.readouterr().err
    assert run("-o", "seeds=[4]") == 0
    assert run(name="other") == 2
    assert "holds the experiment masking, not other; choose another --out" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_told(
    write_experiment: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["experiment", "-c", write_experiment(), "--out", str(tmp_path / "file" / "out")]) == 2
    assert "cannot write here" in capsys.readouterr().err
    assert main(["experiment", "-c", write_experiment(), "--jobs", "0"]) == 2
    assert "--jobs 0" in capsys.readouterr().err
