"""Networks of quantised folders: what computes, what is refused, and what is float when asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

import ppernie
from ppernie import registry
from ppernie.errors import UserError
from ppernie.slim.weight_only import Scheme
from ppernie.slim.weight_only.layers import HalfDecoder, HalfEmbedding, WeightOnlyLinear
from ppernie.zoo import manifest
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import load_network, read_description, read_stored, save_model
from ppernie.zoo.layerwise import convert_layers

ARCH = manifest.find("glm-130b").architecture | {
    "vocab_size": 40,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 32,
}
DESCRIPTION = ModelDescription(arch={"name": "glm/GlmForBlankInfilling", **ARCH}, task=None, max_length=32)


@pytest.fixture(scope="module", params=["float16", "float32"])
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    paddle.set_device("cpu")
    paddle.seed(3)
    network = registry.arch_class("glm/GlmForBlankInfilling")(DESCRIPTION.arch_config())
    weights = {name: p.numpy().astype(request.param) for name, p in network.named_parameters()}
    folder = tmp_path_factory.mktemp("plain") / request.param
    save_model(folder, weights, DESCRIPTION, None, {})
    return folder


@pytest.fixture(params=[Scheme(bits=4), Scheme(bits=8, group_size=32)], ids=repr)
def quantized(request: pytest.FixtureRequest, plain: Path, tmp_path: Path) -> Path:
    convert_layers(plain, tmp_path / "quantized", scheme=request.param)
    return tmp_path / "quantized"


def logits(network: Any) -> np.ndarray:
    network.eval()
    rng = np.random.default_rng(0)
    ids = paddle.to_tensor(rng.integers(0, 40, (2, 12)))
    visible = paddle.to_tensor(np.stack([np.full((2, 12), value) for value in (0, 5, 0)], axis=1))
    with paddle.no_grad():
        return network(ids, paddle.arange(12).expand([2, 1, 12]), visible).numpy()


def load(folder: Path, **options: Any) -> Any:
    return load_network(folder, read_description(folder), **options)


def test_it_computes_what_the_float_numbers_would(quantized: Path, plain: Path) -> None:
    own, floats = load(quantized), load(quantized, dequantize=True)
    expected = logits(floats)
    np.testing.assert_allclose(logits(own), expected, rtol=0, atol=2e-6 * np.abs(expected).max())
    kinds = {type(layer) for layer in floats.sublayers()}
    assert not kinds & {WeightOnlyLinear, HalfEmbedding, HalfDecoder}
    layers = [layer for layer in own.sublayers() if isinstance(layer, WeightOnlyLinear)]
    assert len(layers) == 8 and all(layer.weight.dtype == paddle.int8 for layer in layers)
    assert not [name for name, p in own.named_parameters() if p.ndim == 2 and "layers" in name]
    table = own.embeddings.word_embeddings.weight
    assert table.dtype == (paddle.float16 if plain.name == "float16" else paddle.float32)
    assert np.abs(logits(load(plain)) - expected).max() < 0.2 * np.abs(expected).max()


def test_float_weights_are_those_that_are_stored(quantized: Path) -> None:
    stored = read_stored(quantized, read_description(quantized))
    network = load(quantized, dequantize=True)
    for name, parameter in network.named_parameters():
        assert np.array_equal(parameter.numpy(), np.asarray(stored[name]).astype(np.float32)), name


def test_from_pretrained(quantized: Path) -> None:
    network = ppernie.from_pretrained(quantized)
    assert isinstance(network.layers[1].feed_forward.linear2, WeightOnlyLinear)
    assert np.array_equal(logits(network), logits(load(quantized)))
    floats = ppernie.from_pretrained(quantized, dequantize=True)
    assert np.array_equal(logits(floats), logits(load(quantized, dequantize=True)))


def edit(folder: Path, **changes: Any) -> None:
    values = json.loads((folder / "config.json").read_text())
    values |= {key: value for key, value in changes.items() if key == "quantization"}
    values["arch"] |= {key: value for key, value in changes.items() if key != "quantization"}
    (folder / "config.json").write_text(json.dumps(values))


def test_a_folder_that_does_not_say_that_it_is_quantized(quantized: Path) -> None:
    edit(quantized, quantization=None)
    with pytest.raises(UserError, match="unexpected layers.0.attention.qkv_proj.weight_scale"):
        load(quantized)


def test_another_network(quantized: Path) -> None:
    edit(quantized, intermediate_size=64)
    with pytest.raises(UserError, match=r"linear1.weight has shape \[64, 192\], the model \[64, 128\]"):
        load(quantized)
    edit(quantized, intermediate_size=96, num_hidden_layers=1)
    with pytest.raises(UserError, match="layers.1.attention.* is quantised, and no weight of a linear layer"):
        load(quantized)
