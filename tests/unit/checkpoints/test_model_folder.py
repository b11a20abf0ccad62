from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.checkpoints import Checkpoints, open_checkpoint
from ppernie.checkpoints.model_folder import as_checkpoint, as_model_folder
from ppernie.config.sections import Config
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.engine.train import train
from ppernie.errors import UserError
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import load_model, read_description, read_weights, save_model


def test_a_checkpoint_becomes_a_model_folder(
    make_config: Callable[..., Config], tokenizer: ErnieTokenizer, tmp_path: Path
) -> None:
    train(make_config(**{"Train.max_steps": 2}))
    checkpoint = tmp_path / "run" / "checkpoints" / "step_00000002"
    as_model_folder(checkpoint, tmp_path / "model", tokenizer)
    model, _, description = load_model(tmp_path / "model")
    assert description.task and set(description.task["labels"]) == {"地名", "动词", "成语"}
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(parameter.numpy(), open_checkpoint(checkpoint).group("model")[name].read())


def test_what_no_run_wrote_is_refused(tmp_path: Path) -> None:
    path = Checkpoints(tmp_path, 1).save(1, [], {})
    with pytest.raises(UserError, match="step_00000001: does not say which network it is of"):
        as_model_folder(path, tmp_path / "model", None)


@pytest.fixture
def folder(arch: dict[str, Any], tmp_path: Path) -> Path:
    """A model folder whose weights another library may have written: in float16."""
    description = ModelDescription(arch={"name": "ernie3/ErnieModel", **arch}, task=None, max_length=16)
    weights = {"table": np.arange(6, dtype=np.float16).reshape(3, 2) / 7, "norm.weight": np.ones(2, np.float32)}
    save_model(tmp_path / "folder", weights, description, None, {})
    return tmp_path / "folder"


def test_a_model_folder_becomes_a_checkpoint_of_weights_alone_and_back(folder: Path, tmp_path: Path) -> None:
    as_checkpoint(folder, tmp_path / "checkpoint")
    checkpoint = open_checkpoint(tmp_path / "checkpoint")
    assert checkpoint.state["train"] == {"step": 0}
    assert {(name, tensor.dtype) for name, tensor in checkpoint.tensors.items()} == {
        ("model/table", "float32"),
        ("model/norm.weight", "float32"),
    }
    as_model_folder(tmp_path / "checkpoint", tmp_path / "back", None)
    assert read_description(tmp_path / "back") == read_description(folder)
    there, back = read_weights(folder), read_weights(tmp_path / "back")
    assert there.keys() == back.keys()
    for name, tensor in there.items():
        np.testing.assert_array_equal(back[name].read(), tensor.read())


def test_a_checkpoint_takes_the_place_of_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="mine: is there already; name a new folder"):
        as_checkpoint(folder, tmp_path / "mine")
    with pytest.raises(UserError, match="nowhere: no such model folder"):
        as_checkpoint(tmp_path / "nowhere", tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()
