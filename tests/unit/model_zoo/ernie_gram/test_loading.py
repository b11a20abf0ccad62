"""From pretraining into fine-tuning, and from a released encoder into pretraining."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from model_zoo.ernie_gram.convert import LAYOUTS
from ppernie.zoo.layout import fit, write

OURS = LAYOUTS["ppernie"]


@pytest.mark.parametrize("rel_pos_size", [0, 33])
def test_the_encoder_serves_fine_tuning(rel_pos_size: int, gram: SimpleNamespace) -> None:
    state = {name: p.numpy() for name, p in gram.build("comprehensive", True, rel_pos_size).state_dict().items()}
    found = fit(
        state,
        gram.config(rel_pos_size),
        OURS,
        "ForSequenceClassification",
        stored_kind="ForPretraining",
        labels=3,
    )
    encoder = {name for name in state if name.startswith("backbone.")}
    assert found.tensors.keys() == encoder
    assert set(found.left) == state.keys() - encoder
    assert all(np.asarray(tensor) is state[name] for name, tensor in found.tensors.items())


@pytest.mark.parametrize("library", LAYOUTS)
def test_pretraining_begins_with_an_encoder(library: str, gram: SimpleNamespace) -> None:
    config = gram.config()
    model = gram.build("comprehensive", True)
    state = {name: p.numpy() for name, p in model.state_dict().items() if name.startswith("backbone.")}
    plain = {name.removeprefix("backbone."): array for name, array in state.items()}
    found = fit(write(plain, config, LAYOUTS[library], "Model"), config, LAYOUTS[library], "ForPretraining")
    assert not found.left
    assert found.tensors.keys() == state.keys()
    for name, tensor in found.tensors.items():
        np.testing.assert_array_equal(np.asarray(tensor), state[name])
