"""The benchmarks of weights of few bits print their tables; how fast things are is no matter of tests."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from ppernie.bench import streaming
from ppernie.cli.main import main

SMALL = ["--hidden", "64", "--heads", "4", "--inner", "96", "--vocab", "80", "--layers", "3"]


def rows(out: str) -> list[list[str]]:
    lines = [line for line in out.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_streaming(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "streaming", *SMALL, "--folder", str(tmp_path), "--threads", "1"]
    assert main([*command, "--tokens", "5", "--rounds", "2"]) == 0
    out = capsys.readouterr().out
    header, _, *passes = rows(out)
    assert [row[:2] for row in passes] == [["1", "disk"], ["5", "disk"], ["1", "cache"], ["5", "cache"]]
    assert all(float(row[header.index("seconds a layer")]) > 0 for row in passes)
    if sys.platform == "linux":
        peak, without = header.index("peak GB"), header.index("without libraries, GB")
        assert all(0 < float(row[without]) < float(row[peak]) for row in passes)
    told = [line for line in out.splitlines() if "INFO" in line]
    assert sum("layers" in line for line in told) == 4 and sum(" pass " in line for line in told) == 8
    assert os.listdir(tmp_path) == []


def test_streaming_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(streaming, "Side", None)
    command = ["bench", "streaming", *SMALL, "--folder", str(tmp_path)]
    assert main([*command, "--tokens", "2049"]) == 2
    assert "--tokens 2049: the window holds 2048" in capsys.readouterr().err
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9, 9, 1000))
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert "more bytes are needed and 1000 are free" in err and "written" not in out
    assert os.listdir(tmp_path) == []


def test_linear(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--inputs", "128", "--outputs", "64", "--rows", "1", "20", "--rounds", "1", "--threads", "1"]
    assert main(["bench", "linear", *sizes]) == 0
    header, _, *layers = rows(capsys.readouterr().out)
    assert [row[0] for row in layers[::2]] == ["int8", "int8 in groups", "int4", "int4 in groups"]
    assert [row[1] for row in layers] == 4 * ["1", "20"]
    assert all(float(row[header.index("difference")]) < 0.01 for row in layers)


def test_weight_only(run_values: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(run_values, ensure_ascii=False), encoding="utf-8")
    assert main(["train", "-c", str(config), "-o", "Train.epochs=1"]) == 0
    capsys.readouterr()
    model = str(tmp_path / "run" / "best_model")
    assert main(["bench", "weight_only", "-c", str(config), "--model", model, "--group-size", "8"]) == 0
    header, _, *models = rows(capsys.readouterr().out)
    names = [f"int{bits}, {scales}" for bits in (8, 4) for scales in ("whole rows", "groups of 8")]
    assert [row[1] for row in models] == ["float", *names]
    change = [abs(float(row[header.index("change")].rstrip("%"))) for row in models]
    assert change[0] == 0 and all(0 < loss < 20 for loss in change[1:])
    assert change[1] < change[3]
