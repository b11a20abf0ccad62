from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from pydantic import ValidationError

from ppernie.config.sections import Config
from ppernie.errors import UserError
from ppernie.slim.pruning.layers import drop_layers
from ppernie.slim.pruning.settings import Layers
from ppernie.zoo.folder import load_model


def drop(folder: Path, config: Config, keep: Any) -> Path:
    target = folder.with_name("pruned")
    drop_layers(folder, target, Layers(keep=keep), config)
    return target


def answers(network: Any, ids: Any) -> np.ndarray:
    network.eval()
    with paddle.no_grad():
        return network(paddle.to_tensor(ids)).numpy()


@pytest.mark.parametrize(("keep", "kept"), [(2, [2, 4]), (3, [1, 2, 4]), ([1, 2], [1, 2]), (4, [1, 2, 3, 4])])
def test_the_kept_layers_compute_as_before(
    classifier: Path, make_config: Callable[..., Config], keep: Any, kept: list[int]
) -> None:
    pruned, _, description = load_model(drop(classifier, make_config(), keep))
    assert description.arch["num_hidden_layers"] == len(kept)
    whole, _, _ = load_model(classifier)
    ids = [[1, 7, 8, 9, 2], [1, 5, 2, 0, 0]]
    before = answers(whole, ids)
    encoder = whole.backbone.encoder
    encoder.layers = paddle.nn.LayerList([encoder.layers[number - 1] for number in kept])
    assert (answers(pruned, ids) == answers(whole, ids)).all()
    assert (answers(pruned, ids) == before).all() == (len(kept) == 4)


@pytest.mark.parametrize("keep", [5, [1, 5]])
def test_layers_that_are_not_there(classifier: Path, make_config: Callable[..., Config], keep: Any) -> None:
    with pytest.raises(UserError, match="the model has 4 layers and not 5; dropping brings none back"):
        drop(classifier, make_config(), keep)


@pytest.mark.parametrize("keep", [0, [], [0, 1], [2, 1], [1, 1]])
def test_nonsense(keep: Any) -> None:
    with pytest.raises(ValidationError):
        Layers(keep=keep)
