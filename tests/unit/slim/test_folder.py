"""Model folders with one file a layer: what is in them, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie import registry
from ppernie.errors import UserError
from ppernie.slim.weight_only import QuantizedTensor, Scheme, dequantize, quantize
from ppernie.slim.weight_only.folder import open_layers, save_layers
from ppernie.zoo import manifest
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import save_model
from ppernie.zoo.formats import open_weights
from ppernie.zoo.weights import write_weights

ARCH = manifest.find("glm-130b").architecture | {
    "vocab_size": 11,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
}
DESCRIPTION = ModelDescription(arch={"name": "glm/GlmForBlankInfilling", **ARCH}, task=None, max_length=32)
PLAN = registry.family_plan("glm")
INT4 = Scheme(bits=4, group_size=8)


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {"embeddings.word_embeddings.weight": (11, 16), "final_norm.weight": (16,), "final_norm.bias": (16,)}
    for n in range(3):
        for norm in ("norm1", "norm2"):
            shapes |= {f"layers.{n}.{norm}.weight": (16,), f"layers.{n}.{norm}.bias": (16,)}
        for name, size in (
            ("attention.qkv_proj", (16, 48)),
            ("attention.out_proj", (16, 16)),
            ("feed_forward.linear1", (16, 48)),
            ("feed_forward.linear2", (24, 16)),
        ):
            shapes |= {f"layers.{n}.{name}.weight": size, f"layers.{n}.{name}.bias": size[1:]}
    return {name: rng.standard_normal(shape).astype(np.float16) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def plain(weights: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights as training writes them, in one file."""
    folder = tmp_path_factory.mktemp("folder") / "plain"
    save_model(folder, weights, DESCRIPTION, None, {})
    return folder


@pytest.fixture
def save(plain: Path, tmp_path: Path) -> Callable[..., Path]:
    def make(scheme: Scheme | None = INT4) -> Path:
        save_layers(tmp_path / "layers", open_layers(plain).tensors, DESCRIPTION, PLAN, scheme, None)
        return tmp_path / "layers"

    return make


def test_one_file_a_layer_without_a_change(save: Callable[..., Path], weights: dict[str, np.ndarray]) -> None:
    folder = save(None)
    opened = open_layers(folder)
    assert opened.description == DESCRIPTION and opened.scheme is None
    assert opened.tensors.keys() == weights.keys()
    assert all(np.array_equal(opened.tensors[name].read(), array) for name, array in weights.items())
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    assert files == [f"model-{number:05d}-of-00004.safetensors" for number in (1, 2, 3, 4)]
    places = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    assert {places[name] for name in weights if name.startswith("layers.1.")} == {files[2]}


@pytest.mark.parametrize("scheme", [Scheme(bits=8), Scheme(bits=4), INT4], ids=repr)
def test_quantized_matrices_and_the_rest_as_it_was(
    save: Callable[..., Path], weights: dict[str, np.ndarray], scheme: Scheme
) -> None:
    folder = save(scheme)
    opened = open_layers(folder)
    said = json.loads((folder / "config.json").read_text())["quantization"]
    assert opened.scheme == scheme == Scheme(**{key: said[key] for key in ("bits", "group_size")})
    assert opened.tensors.keys() == weights.keys()
    assert len(said["weights"]) == 12
    stored = open_weights(folder / "model.safetensors.index.json")
    for name, array in weights.items():
        tensor = opened.tensors[name]
        if name not in said["weights"]:
            assert tensor.dtype == "float16" and np.array_equal(tensor.read(), array)
            continue
        assert isinstance(tensor, QuantizedTensor) and tensor.shape == array.shape
        numbers, scale = quantize(np.ascontiguousarray(array.T), scheme)
        assert np.array_equal(stored[name].read(), numbers)
        assert np.array_equal(stored[f"{name}_scale"].read(), scale)
        assert np.array_equal(tensor.read(), dequantize(numbers, scale, scheme).T)


def test_a_network_takes_them_when_they_are_read_as_such(save: Callable[..., Path]) -> None:
    from ppernie.zoo.weights import load_weights

    opened = open_layers(save())
    network = registry.arch_class("glm/GlmForBlankInfilling")(DESCRIPTION.arch_config())
    load_weights(network, opened.tensors, "layers")
    name = "layers.2.feed_forward.linear2.weight"
    assert np.array_equal(dict(network.named_parameters())[name].numpy(), opened.tensors[name].read())


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    values = json.loads((folder / "config.json").read_text())
    change(values["quantization"])
    (folder / "config.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said.update(bits=8), "attention.out_proj.weight is int8 .* no weights of 8 bits in groups of 8"),
        (lambda said: said.update(group_size=4), "no weights of 4 bits in groups of 4"),
        (lambda said: said.update(group_size=None), "no weights of 4 bits$"),
        (lambda said: said["weights"].append("layers.0.norm1.weight"), "layers.0.norm1.weight_scale: missing"),
        (lambda said: said.update(bits=3), "config.json: not a model description: quantization.bits: "),
        (lambda said: said.update(more=3), "config.json: not a model description: quantization.more: "),
        (lambda said: said.pop("weights"), "config.json: not a model description: quantization.weights: "),
    ],
)
def test_weights_that_are_not_as_they_say(
    save: Callable[..., Path], change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    folder = save()
    edit(folder, change)
    with pytest.raises(UserError, match=message):
        open_layers(folder)


@pytest.mark.parametrize("shape", [(), (8,), (16, 8, 1)])
def test_quantized_weights_that_are_no_matrices(save: Callable[..., Path], shape: tuple[int, ...]) -> None:
    folder = save()
    name = "layers.0.attention.out_proj.weight"
    file = folder / json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"][name]
    stored = {key: tensor.read() for key, tensor in open_weights(file).items()}
    write_weights(file, stored | {name: np.zeros(shape, np.int8)})
    with pytest.raises(UserError, match=rf"{name} is int8 \[.*no weights of 4 bits in groups of 8"):
        open_layers(folder)


def test_a_layer_that_is_missing(save: Callable[..., Path]) -> None:
    folder = save()
    (folder / "model-00002-of-00004.safetensors").unlink()
    with pytest.raises(UserError, match="1 of 4 files are missing"):
        open_layers(folder)


def test_weights_that_cannot_be_quantized_leave_nothing(weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    broken = {name: array.copy() for name, array in weights.items()}
    broken["layers.1.attention.out_proj.weight"][2, 3] = np.nan
    save_model(tmp_path / "plain", broken, DESCRIPTION, None, {})
    tensors = open_layers(tmp_path / "plain").tensors
    with pytest.raises(UserError, match=r"layers.1.attention.out_proj.weight cannot be quantised: it holds NaN"):
        save_layers(tmp_path / "layers", tensors, DESCRIPTION, PLAN, INT4, None)
    with pytest.raises(UserError, match="24 inputs are not a multiple of the group size 16; choose another"):
        save_layers(tmp_path / "layers", tensors, DESCRIPTION, PLAN, Scheme(bits=8, group_size=16), None)
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]
