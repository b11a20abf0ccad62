"""What pretraining starts from: its own networks, and released encoders as far as they are alike."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from model_zoo.ernie3.config import ErnieConfig
from model_zoo.ernie3.modeling import ErnieForMaskedLM
from model_zoo.ernie3.universal.config import VARIANTS, UniversalConfig
from model_zoo.ernie3.universal.modeling import ErnieUniversalForPretraining, ErnieUniversalForSequenceClassification
from model_zoo.ernie3.universal.start import start_from
from ppernie.errors import UserError
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import save_model
from ppernie.zoo.sources import open_source

SMALL: dict[str, Any] = VARIANTS["tiny"] | {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "branch_hidden_size": 8,
    "branch_num_layers": 1,
    "branch_num_heads": 2,
    "branch_intermediate_size": 16,
}
ENCODER_FIELDS = {name: value for name, value in SMALL.items() if name in ErnieConfig.model_fields}


def stored(folder: Path, model: Any, arch: str, fields: dict[str, Any]) -> tuple[Any, dict[str, np.ndarray]]:
    """A model folder with drawn weights, opened as a source, and the weights."""
    paddle.seed(1)
    model.reset_parameters()
    weights = {name: parameter.numpy() for name, parameter in model.named_parameters()}
    description = ModelDescription(arch={"name": f"ernie3/{arch}", **fields}, task=None, max_length=8, fields={})
    save_model(folder, weights, description, None, {})
    return open_source(folder), weights


def shapes(model: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def test_from_an_encoder_come_its_tables(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fields = ENCODER_FIELDS | {"type_vocab_size": 2}
    source, weights = stored(tmp_path / "model", ErnieForMaskedLM(ErnieConfig(**fields)), "ErnieForMaskedLM", fields)
    with caplog.at_level(logging.INFO, logger="ppernie"):
        found = start_from(source, shapes(ErnieUniversalForPretraining(UniversalConfig(**SMALL))))
    # The table of types has another number of them.
    names = ["embeddings.word_embeddings.weight", "embeddings.layer_norm.weight", "embeddings.layer_norm.bias"]
    assert sorted(found.tensors) == sorted(names) and not found.left
    for name, tensor in found.tensors.items():
        np.testing.assert_array_equal(np.asarray(tensor), weights[f"backbone.{name}"])
    assert all(name in caplog.text for name in names)


def test_an_encoder_of_another_width_is_refused(tmp_path: Path) -> None:
    source, _ = stored(
        tmp_path / "model", ErnieForMaskedLM(ErnieConfig(**ENCODER_FIELDS)), "ErnieForMaskedLM", ENCODER_FIELDS
    )
    wider = UniversalConfig(**SMALL | {"hidden_size": 32})
    with pytest.raises(UserError, match=r"word_embeddings.weight is \[30, 16\] there and \[30, 32\] here"):
        start_from(source, shapes(ErnieUniversalForPretraining(wider)))


def test_from_its_own_kind_comes_all_that_both_have(tmp_path: Path) -> None:
    model = ErnieUniversalForPretraining(UniversalConfig(**SMALL))
    source, weights = stored(tmp_path / "model", model, "ErnieUniversalForPretraining", SMALL)
    found = start_from(source, shapes(model))
    assert found.tensors.keys() == weights.keys() and not found.left
    classifier = ErnieUniversalForSequenceClassification(UniversalConfig(**SMALL), num_labels=2)
    found = start_from(source, shapes(classifier))
    assert shapes(classifier).keys() - found.tensors.keys() == {"classifier.weight", "classifier.bias"}
    assert found.tensors.keys() | set(found.left) == weights.keys()
    longer = UniversalConfig(**SMALL | {"intermediate_size": 32})
    with pytest.raises(UserError, match=r"does not fit Arch: trunk.*feed_forward.*choose its sizes"):
        start_from(source, shapes(ErnieUniversalForPretraining(longer)))
