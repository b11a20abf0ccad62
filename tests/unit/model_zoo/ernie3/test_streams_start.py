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
from ppernie.nn.masks import MASKED
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import save_model
from ppernie.zoo.sources import open_source

SMALL: dict[str, Any] = VARIANTS["tiny"] | {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "branch_hidden_size": 8,
    "branch_num_layers": 1,
    "branch_num_heads": 2,
    "branch_intermediate_size": 16,
}
ENCODER_FIELDS = {name: value for name, value in SMALL.items() if name in ErnieConfig.model_fields}


def stored(folder: Path, model: Any, arch: str, fields: dict[str, Any]) -> tuple[Any, dict[str, np.ndarray]]:
    """A model folder with random weights, opened as a source, and the weights."""
    paddle.seed(1)
    for parameter in model.parameters():
        parameter.set_value(paddle.normal(0.0, 0.5, parameter.shape))
    weights = {name: parameter.numpy() for name, parameter in model.named_parameters()}
    description = ModelDescription(arch={"name": f"ernie3/{arch}", **fields}, task=None, max_length=8, fields={})
    save_model(folder, weights, description, None, {})
    return open_source(folder), weights


def shapes(model: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def encoder_source(folder: Path, **fields: Any) -> tuple[Any, Any]:
    """An encoder's folder, opened as a source, and the encoder; no parameter of it is 0 or 1."""
    fields = ENCODER_FIELDS | fields
    model = ErnieForMaskedLM(ErnieConfig(**fields))
    source, _ = stored(folder, model, "ErnieForMaskedLM", fields)
    model.eval()
    return source, model.backbone


def taken(source: Any, **fields: Any) -> tuple[Any, set[str]]:
    """A network with what it takes of a source, in evaluation mode, and the names of that."""
    network = ErnieUniversalForPretraining(UniversalConfig(**SMALL | fields))
    network.reset_parameters()
    network.eval()
    tensors = start_from(source, shapes(network), network.config).tensors
    for name, tensor in tensors.items():
        network.state_dict()[name].set_value(np.asarray(tensor))
    return network, set(tensors)


def test_from_an_encoder_come_its_tables_and_layers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, encoder = encoder_source(tmp_path / "model", type_vocab_size=2)
    with caplog.at_level(logging.INFO, logger="ppernie"):
        network, names = taken(source)
    # The table of types has another number of them.
    tables = {"embeddings.word_embeddings.weight", "embeddings.layer_norm.weight", "embeddings.layer_norm.bias"}
    assert {name for name in names if name.startswith("embeddings.")} == tables
    weights, ours = encoder.state_dict(), network.state_dict()
    for name in tables:
        np.testing.assert_array_equal(ours[name].numpy(), weights[name].numpy())
    trunk = {name for name in ours if name.startswith("trunk.")}
    relative = ("r_proj.weight", "content_bias.weight", "position_bias.weight")
    assert names - tables == {name for name in trunk if not name.endswith(relative)}
    assert all(name in caplog.text for name in (*tables, "for the trunk layers 0 to 1; all else is drawn"))


def test_without_its_relative_terms_the_trunk_is_the_encoder(tmp_path: Path) -> None:
    source, encoder = encoder_source(tmp_path / "model")
    network, _ = taken(source)
    x = paddle.randn([2, 7, 16])
    mask = paddle.to_tensor(np.where(np.arange(7) < [[7], [4]], 0.0, MASKED).astype("float32")).unsqueeze([1, 2])
    expected = encoder.encoder(x, mask).numpy()
    assert np.abs(network.trunk(x, mask).numpy() - expected).max() > 1e-2
    for layer in network.trunk.layers:
        for part in ("r_proj", "content_bias", "position_bias"):
            weight = getattr(layer.self_attn, part).weight
            weight.set_value(paddle.zeros_like(weight))
    np.testing.assert_allclose(network.trunk(x, mask).numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("theirs", "ours", "both"), [(3, 2, {"0", "1"}), (1, 2, {"0"})])
def test_as_many_layers_come_as_both_have(tmp_path: Path, theirs: int, ours: int, both: set[str]) -> None:
    source, _ = encoder_source(tmp_path / "model", num_hidden_layers=theirs)
    _, names = taken(source, num_hidden_layers=ours)
    assert {name.split(".")[2] for name in names if name.startswith("trunk.")} == both


@pytest.mark.parametrize("other", [{"num_attention_heads": 4}, {"intermediate_size": 32}])
def test_layers_of_other_sizes_are_left(
    tmp_path: Path, other: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    source, _ = encoder_source(tmp_path / "model", **other)
    with caplog.at_level(logging.INFO, logger="ppernie"):
        _, names = taken(source)
    assert names and all(name.startswith("embeddings.") for name in names)
    assert "for the trunk no layers" in caplog.text


def test_an_encoder_of_another_width_is_refused(tmp_path: Path) -> None:
    source, _ = encoder_source(tmp_path / "model")
    wider = UniversalConfig(**SMALL | {"hidden_size": 32})
    with pytest.raises(UserError, match=r"word_embeddings.weight is \[30, 16\] there and \[30, 32\] here"):
        start_from(source, shapes(ErnieUniversalForPretraining(wider)), wider)


def test_from_its_own_kind_comes_all_that_both_have(tmp_path: Path) -> None:
    model = ErnieUniversalForPretraining(UniversalConfig(**SMALL))
    source, weights = stored(tmp_path / "model", model, "ErnieUniversalForPretraining", SMALL)
    found = start_from(source, shapes(model), model.config)
    assert found.tensors.keys() == weights.keys() and not found.left
    classifier = ErnieUniversalForSequenceClassification(UniversalConfig(**SMALL), num_labels=2)
    found = start_from(source, shapes(classifier), model.config)
    assert shapes(classifier).keys() - found.tensors.keys() == {"classifier.weight", "classifier.bias"}
    assert found.tensors.keys() | set(found.left) == weights.keys()
    longer = UniversalConfig(**SMALL | {"intermediate_size": 32})
    with pytest.raises(UserError, match=r"does not fit Arch: trunk.*feed_forward.*choose its sizes"):
        start_from(source, shapes(ErnieUniversalForPretraining(longer)), longer)


def test_layers_of_another_activation_are_refused(tmp_path: Path) -> None:
    source, _ = encoder_source(tmp_path / "model")
    config = UniversalConfig(**SMALL | {"hidden_act": "relu"})
    with pytest.raises(UserError, match="gelu in its layers, and Arch.hidden_act is relu; set Arch.hidden_act=gelu"):
        start_from(source, shapes(ErnieUniversalForPretraining(config)), config)
