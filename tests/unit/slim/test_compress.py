"""``ppernie compress``: its recipe, its table and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ppernie.cli.main import main
from ppernie.engine.train import train
from ppernie.slim.weight_only import Scheme
from ppernie.slim.weight_only.folder import open_layers


@pytest.fixture
def trained(make_config: Any, run_values: dict[str, Any], tmp_path: Path) -> Path:
    """A small run's config file; the run is over."""
    train(make_config(**{"Train.epochs": 1}))
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(run_values, allow_unicode=True))
    return file


def test_a_model_and_what_it_becomes(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = ["-c", str(trained), "-o", "Slim.weight_only={bits: 8, group_size: 8}"]
    assert main(["compress", *recipe, "--evaluate"]) == 0
    head, _, before, after = capsys.readouterr().out.strip().splitlines()
    assert head.split()[1:6:2] == ["model", "MB", "accuracy"] and "loss" in head
    assert "best_model" in before and "compressed" in after
    opened = open_layers(tmp_path / "run" / "compressed")
    assert opened.scheme == Scheme(bits=8, group_size=8)
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"best_model", "compressed"}
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith("compressed.")]
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "北京"}\n', encoding="utf-8")
    assert main(["predict", "--model", str(tmp_path / "run" / "compressed"), "--input", str(rows)]) == 0
    assert "label" in capsys.readouterr().out
    compressed = str(tmp_path / "run" / "compressed")
    assert main(["export_model", "-c", str(trained), "--model", compressed]) == 2
    assert "has quantised weights, which no static graph keeps" in capsys.readouterr().err
    assert main(["compress", *recipe]) == 2
    assert "compressed: is there already" in capsys.readouterr().err


def test_what_is_refused(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compress", "-c", str(trained)]) == 2
    assert "Slim names no step; set one of Slim." in capsys.readouterr().err
    assert main(["compress", "-c", str(trained), "-o", "Slim.weight_only.bits=3"]) == 2
    assert "Slim.weight_only.bits" in capsys.readouterr().err
    assert main(["compress", "-c", str(trained), "-o", "Slim.weight_only={bits: 4, group_size: 12}"]) == 2
    assert "are not a multiple of the group size 12" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "run").glob("compressed*")) == []
