from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ppernie.checkpoints import Checkpoints, open_checkpoint
from ppernie.checkpoints.model_folder import as_model_folder
from ppernie.config.sections import Config
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.engine.train import train
from ppernie.errors import UserError
from ppernie.zoo.folder import load_model


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
