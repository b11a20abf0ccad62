from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ppernie.config.sections import Config
from ppernie.engine.train import train
from ppernie.slim.distillation.folder import distil_folder
from ppernie.slim.distillation.settings import Distillation
from ppernie.zoo.folder import load_model


def test_a_folder_learns_from_another(make_config: Callable[..., Config], teacher: str, tmp_path: Path) -> None:
    """The config's own architecture is of no account."""
    narrow = {"Arch.hidden_size": 8, "Arch.intermediate_size": 16, "Train.max_steps": 2}
    train(make_config(**narrow, **{"Global.output_dir": str(tmp_path / "student")}))
    losses, student = Distillation(teacher="any", soft={}, hidden={}), tmp_path / "student" / "best_model"
    folder, results = distil_folder(student, Path(teacher), tmp_path / "out", losses, make_config())
    assert results["steps"] == 20
    _, _, description = load_model(folder)
    assert description.arch["hidden_size"] == 8
    assert distil_folder(student, Path(teacher), tmp_path / "out", losses, make_config()) == (folder, results)
