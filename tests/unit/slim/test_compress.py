"""``ppernie compress``: its folder, its table and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ppernie.cli.main import main
from ppernie.config.sections import Config
from ppernie.errors import UserError
from ppernie.slim.quantization.folder import quantize
from ppernie.slim.quantization.settings import Quantization
from ppernie.slim.recipe import compress
from ppernie.slim.weight_only import Scheme
from ppernie.slim.weight_only.folder import open_layers
from ppernie.zoo.layerwise import convert_layers

QUANTIZED = ["Slim.weight_only={bits: 8, group_size: 8}", "Slim.gate.points=10", "Slim.latency=null"]


@pytest.fixture
def trained(source: Path, run_values: dict[str, Any], tmp_path: Path) -> Path:
    """A small run's config file; the run is over."""
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(run_values, allow_unicode=True), encoding="utf-8")
    return file


def rows(out: str) -> list[list[str]]:
    lines = [line for line in out.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in [lines[0], *lines[2:]]]


def test_a_model_and_what_it_becomes(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["compress", "-c", str(trained), "-o", *QUANTIZED]
    assert main(command) == 0
    head, before, after = rows(capsys.readouterr().out)
    assert head == ["step", "parameters", "fewer", "MB", "accuracy"]
    assert (before[0], after[0], after[2]) == ("source", "weight_only", "1.00") and before[1] == after[1]
    folder = tmp_path / "run" / "compressed"
    assert {path.name for path in folder.iterdir()} == {
        ".lock",
        "steps",
        "model",
        "compress_results.json",
        "results.md",
    }
    opened = open_layers(folder / "model")
    assert opened.scheme == Scheme(bits=8, group_size=8)
    found = json.loads((folder / "compress_results.json").read_text())
    assert [step["step"] for step in found["steps"]] == ["source", "weight_only"]
    assert f"{found['steps'][1]['metrics']['accuracy']:.4f}" == after[4]
    assert found["steps"][0]["examples"] == 10
    assert "| weight_only |" in (folder / "results.md").read_text()
    lines = tmp_path / "rows.jsonl"
    lines.write_text('{"text": "北京"}\n', encoding="utf-8")
    assert main(["predict", "--model", str(folder / "model"), "--input", str(lines)]) == 0
    assert "label" in capsys.readouterr().out
    assert main(["export_model", "-c", str(trained), "--model", str(folder / "model")]) == 2
    assert "has quantised weights, which no static graph keeps" in capsys.readouterr().err
    # Once more: nothing is done anew, and all of it is told.
    made = (folder / "steps" / "1-weight_only" / "config.json").stat().st_mtime_ns
    assert main(command) == 0
    assert rows(capsys.readouterr().out)[2] == after
    assert (folder / "steps" / "1-weight_only" / "config.json").stat().st_mtime_ns == made
    # What came out is no source.
    again = ["--model", str(folder / "model"), "--output", str(tmp_path / "twice")]
    assert main([*command, *again]) == 2
    assert "Slim.weight_only: " in (said := capsys.readouterr().err) and "is quantised already" in said
    assert not (tmp_path / "twice" / "model").exists()


def test_an_export_that_predict_runs(source: Path, recipe: Callable[..., Config], tmp_path: Path) -> None:
    latency = {"batches": [2], "rounds": 1}
    table = compress(source, tmp_path / "out", recipe(export=True, latency=latency))
    head, before, after = rows(table)
    # The model reads 16 tokens.
    assert head[4:] == ["ms at 2 x 16", "times faster", "peak MB", "accuracy"]
    assert before[5] == "1.00" and all(float(cell) > 0 for cell in (*before[4:6], *after[4:6]))
    assert float(before[6]) > 50 and float(after[6]) > 50
    assert (after[0], after[1], after[7]) == ("export", before[1], before[7])
    lines, answers = tmp_path / "rows.txt", tmp_path / "answers.jsonl"
    lines.write_text("北京\n学习\n", encoding="utf-8")
    command = ["predict", "--model", str(tmp_path / "out" / "model"), "--input", str(lines), "--output", str(answers)]
    assert main(command) == 0
    assert all("label" in json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines())
    with pytest.raises(UserError, match="is an export, which no step changes; compress the model folder"):
        compress(tmp_path / "out" / "model", tmp_path / "twice", recipe(export=True))


def test_the_graph_of_a_smaller_model_stands_beside_the_sources_own(
    source: Path, recipe: Callable[..., Config], tmp_path: Path
) -> None:
    latency = {"batches": [1], "rounds": 1}
    steps = {"layers": {"keep": 1}, "export": True, "gate": None, "latency": latency}
    _, before, exported, layers, after = rows(compress(source, tmp_path / "out", recipe(**steps)))
    assert [row[0] for row in (before, exported, layers, after)] == ["source", "source, exported", "layers", "export"]
    assert exported[1] == before[1] and after[1] == layers[1] != before[1]
    assert float(exported[4]) > 0
    made = tmp_path / "out" / "steps" / "0-export"
    stamp = (made / "deploy.yml").stat().st_mtime_ns
    compress(source, tmp_path / "out", recipe(**steps))
    assert (made / "deploy.yml").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("bits", [True, False])
def test_a_quantised_model_goes_through_no_step(
    source: Path, recipe: Callable[..., Config], tmp_path: Path, bits: bool
) -> None:
    (tmp_path / "student.yaml").write_text("Train: {}\n", encoding="utf-8")
    steps: dict[str, Any] = {
        "distil": {"stages": {"one": {"config": str(tmp_path / "student.yaml")}}},
        "vocabulary": {"max_size": 60},
        "layers": {"keep": 1},
        "width": {"widths": [0.5]},
        "sparsity": {"target": 0.5},
        "quantization": {},
        "weight_only": {"bits": 8},
    }
    config = recipe(gate=None)
    if bits:
        convert_layers(source, tmp_path / "small", scheme=Scheme(bits=8))
    else:
        quantize(source, tmp_path / "small", Quantization(), config)
    for name, options in steps.items():
        with pytest.raises(UserError, match=f"^Slim.{name}: .*small: is quantised already; start from the weights"):
            compress(tmp_path / "small", tmp_path / "out", recipe({"Data.eval": None}, gate=None, **{name: options}))


def test_what_is_refused(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for changes, said in (
        ([], "Slim names no step; set one of Slim.distil, "),
        (["Slim.wieght_only={bits: 8}"], "did you mean Slim.weight_only?"),
        (["Slim.weight_only.bits=3"], "Slim.weight_only.bits"),
        (["Slim.gate.point=1", "Slim.export=true"], "did you mean Slim.gate.points?"),
        (["Slim.weight_only={bits: 8}", "Slim.export=true"], "no static graph keeps the weights of Slim.weight_only"),
        (["Slim.export=true", "Data.eval=null"], "Data.eval is missing: after each step"),
        (["Slim.export=true"], "Data.eval: 10 examples do not tell Slim.gate.points = 0.5, as each of them is 10.0; "),
        (["Slim.export=true", "Data.eval.limit=3", "Slim.gate.points=10"], "Data.eval: 3 examples do not tell"),
        (["Slim.export=true", "Eval.metric=exact"], "has no metric exact on Data.eval, but accuracy"),
        ([*QUANTIZED, "Slim.weight_only={bits: 4, group_size: 12}"], "are not a multiple of the group size 12"),
    ):
        arguments = ["-o", *changes] if changes else []
        assert main(["compress", "-c", str(trained), *arguments]) == 2
        assert said in (error := capsys.readouterr().err), error
    assert not (tmp_path / "run" / "compressed" / "model").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    assert main(["compress", "-c", str(trained), "-o", *QUANTIZED, "--output", str(tmp_path / "other")]) == 2
    assert "holds something other than a recipe's steps" in capsys.readouterr().err
