from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.cli.main import main
from ppernie.config.sections import Config
from ppernie.engine.train import train
from ppernie.errors import UserError


@pytest.fixture
def folder(make_config: Callable[..., Config], tmp_path: Path) -> Path:
    """The model folder of a run's checkpoint."""
    train(make_config(**{"Train.max_steps": 3, "Global.output_dir": str(tmp_path / "first")}))
    checkpoint = tmp_path / "first" / "checkpoints" / "step_00000003"
    assert main(["convert", "--to", "ppernie", str(checkpoint), str(tmp_path / "folder")]) == 0
    return tmp_path / "folder"


@pytest.fixture
def checkpoint(folder: Path, tmp_path: Path) -> Path:
    """The folder made a checkpoint again."""
    assert main(["convert", "--to", "checkpoint", str(folder), str(tmp_path / "checkpoint")]) == 0
    return tmp_path / "checkpoint"


def test_a_run_begins_from_a_checkpoint_of_a_folder_as_from_the_folder(
    folder: Path,
    checkpoint: Path,
    make_config: Callable[..., Config],
    tmp_path: Path,
    remains: Any,
    assert_equal: Callable[..., None],
) -> None:
    changes = {"Global.seed": 8, "Train.max_steps": 4, "Train.batch_size": 8}
    expected = make_config(
        **changes, **{"Global.output_dir": str(tmp_path / "expected"), "Global.pretrained_model": str(folder)}
    )
    resumed = make_config(**changes)
    assert train(resumed, str(checkpoint)) == train(expected)
    assert_equal(remains(resumed), remains(expected))


def test_a_checkpoint_of_another_network_is_refused(checkpoint: Path, make_config: Callable[..., Config]) -> None:
    with pytest.raises(UserError, match="checkpoint does not fit the model: .*has shape"):
        train(make_config(**{"Arch.intermediate_size": 48}), str(checkpoint))
