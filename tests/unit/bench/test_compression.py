"""The benchmark of what quantised weights cost, at small sizes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ppernie.bench import weight_only
from ppernie.engine.train import train
from ppernie.errors import UserError
from ppernie.slim.weight_only import Scheme
from ppernie.zoo.layerwise import convert_layers


def test_the_loss_of_a_model(make_config: Any, tmp_path: Path) -> None:
    config = make_config(**{"Train.epochs": 1})
    train(config)
    folders = [tmp_path / "run" / "best_model", tmp_path / "other"]
    shutil.copytree(*folders)
    table = weight_only.benchmark(folders, config, group_size=8)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    kinds = ["float", "int8, whole rows", "int8, groups of 8", "int4, whole rows", "int4, groups of 8"]
    assert [row[:2] for row in rows] == [[str(folder), kind] for folder in folders for kind in kinds]
    assert [row[2:] for row in rows[:5]] == [row[2:] for row in rows[5:]]
    changes = [abs(float(row[4].rstrip("%"))) for row in rows[1:5]]
    assert changes[0] < 0.1 and changes[1] < 0.1


def test_a_group_size_is_checked_first(make_config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(**{"Train.max_steps": 1, "Arch.intermediate_size": 40})
    train(config)
    folder = tmp_path / "run" / "best_model"
    monkeypatch.setattr(weight_only, "scores", None)
    # It fits matrices of 16 inputs, and not that of 40.
    with pytest.raises(UserError, match=r"best_model: .*linear2.weight: 40 inputs are not a multiple of .* 16"):
        weight_only.benchmark([folder], config, group_size=16)
    convert_layers(folder, tmp_path / "int8", scheme=Scheme(bits=8))
    with pytest.raises(UserError, match="int8: is quantised already"):
        weight_only.benchmark([tmp_path / "int8"], config, group_size=8)
