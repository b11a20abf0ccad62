"""Folders that PaddleNLP wrote load here, and those of ours there, bit for bit in both directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

import ppernie
from model_zoo.glm.config import GlmConfig
from ppernie.errors import UserError
from ppernie.zoo.conversion import convert
from ppernie.zoo.formats import open_weights

paddlenlp = pytest.importorskip("paddlenlp.transformers")

SIZES = {"vocab_size": 61, "hidden_size": 32, "num_attention_heads": 4, "max_sequence_length": 24}
CONFIGS = {"GLM": SIZES | {"num_layers": 2}, "ChatGLM": SIZES | {"num_hidden_layers": 2, "inner_hidden_size": 56}}
CLASSES = {
    "GLMForConditionalGeneration": "GLM",
    "GLMForMultipleChoice": "GLM",
    "GLMModel": "GLM",
    "ChatGLMForCausalLM": "ChatGLM",
    "ChatGLMModel": "ChatGLM",
}
WITH_HEAD = pytest.mark.parametrize("name", ["GLMForConditionalGeneration", "ChatGLMForCausalLM"])


@pytest.fixture
def theirs(name: str) -> Any:
    brand = CLASSES[name]
    model = getattr(paddlenlp, name)(getattr(paddlenlp, f"{brand}Config")(**CONFIGS[brand]))
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.set_value(rng.normal(scale=0.2, size=parameter.shape).astype(np.float32))
    model.eval()
    return model


def logits(model: Any) -> np.ndarray:
    """Of a text whose first tokens are seen by all."""
    ids, places = np.arange(10)[None] * 5 + 3, np.arange(10)
    positions = np.stack([np.minimum(places, 4), np.maximum(places - 3, 0)])[None]
    seen = (places < 4) | (places <= places[:, None])
    with paddle.no_grad():
        if type(model).__module__.startswith("model_zoo"):
            visible = np.array([0, 4, 0])[None, :, None].repeat(10, axis=2)
            return model(*map(paddle.to_tensor, (ids, positions, visible))).numpy()
        inputs = map(paddle.to_tensor, (ids, positions, seen[None, None].astype(np.int64)))
        names = ("input_ids", "position_ids", "attention_mask")
        result = model(**dict(zip(names, inputs, strict=True)), return_dict=False)
        return next(tensor for tensor in result if tensor.ndim == 3).numpy()


def assert_same(one: np.ndarray, other: np.ndarray) -> None:
    assert np.abs(one - other).max() < 1e-5 * np.abs(other).max()


def stored(folder: Path) -> dict[str, np.ndarray]:
    [path] = [path for path in folder.iterdir() if path.suffix in (".pdparams", ".safetensors")]
    return {name: np.asarray(tensor) for name, tensor in open_weights(path).items()}


def assert_same_bits(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert (array.dtype, array.tobytes()) == (other[name].dtype, other[name].tobytes()), name


@WITH_HEAD
@pytest.mark.parametrize("options", [{}, {"safe_serialization": True}, {"max_shard_size": "20KB"}], ids=str)
def test_theirs_here(name: str, options: dict[str, Any], theirs: Any, tmp_path: Path) -> None:
    theirs.save_pretrained(str(tmp_path), **options)
    if options.get("max_shard_size"):
        assert len(list(tmp_path.glob("*.pdparams"))) > 1
    assert_same(logits(ppernie.from_pretrained(tmp_path)), logits(theirs))


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_holds_the_same_network(name: str, theirs: Any, tmp_path: Path) -> None:
    theirs.save_pretrained(str(tmp_path / "there"))
    model = ppernie.from_pretrained(tmp_path / "there", "glm/blank_infilling")
    assert type(model).__name__ == "GlmForBlankInfilling"
    words = theirs.get_input_embeddings() if name.endswith("Model") else getattr(theirs, CLASSES[name].lower())
    table = words if name.endswith("Model") else words.get_input_embeddings()
    assert np.array_equal(model.embeddings.word_embeddings.weight.numpy(), table.weight.numpy())


@WITH_HEAD
def test_there_and_back(name: str, theirs: Any, tmp_path: Path) -> None:
    theirs.save_pretrained(str(tmp_path / "there"))
    convert(tmp_path / "there", tmp_path / "ours", "ppernie")
    convert(tmp_path / "ours", tmp_path / "back", "paddlenlp")
    convert(tmp_path / "back", tmp_path / "again", "ppernie")
    assert_same_bits(stored(tmp_path / "back"), stored(tmp_path / "there"))
    assert_same_bits(stored(tmp_path / "again"), stored(tmp_path / "ours"))
    ours, again = (json.loads((tmp_path / folder / "config.json").read_text()) for folder in ("ours", "again"))
    assert ours == again
    assert ours["max_length"] == SIZES["max_sequence_length"]
    there, back = (json.loads((tmp_path / folder / "config.json").read_text()) for folder in ("there", "back"))
    assert {key: there[key] for key in back if key in there} == back

    assert_same(logits(ppernie.from_pretrained(tmp_path / "ours")), logits(theirs))
    model = paddlenlp.AutoModelForCausalLM if name.startswith("Chat") else paddlenlp.AutoModelForConditionalGeneration
    loaded = model.from_pretrained(str(tmp_path / "back"))
    assert type(loaded).__name__ == name
    loaded.eval()
    assert np.array_equal(logits(loaded), logits(theirs))


@WITH_HEAD
def test_half_precision_keeps_its_bits(name: str, theirs: Any, tmp_path: Path) -> None:
    theirs.to(dtype="float16")
    theirs.save_pretrained(str(tmp_path / "there"))
    convert(tmp_path / "there", tmp_path / "ours", "ppernie")
    convert(tmp_path / "ours", tmp_path / "back", "paddlenlp")
    assert {array.dtype for array in stored(tmp_path / "ours").values()} == {np.dtype(np.float16)}
    assert_same_bits(stored(tmp_path / "back"), stored(tmp_path / "there"))


@pytest.mark.parametrize("name", ["ChatGLMForCausalLM"])
@pytest.mark.parametrize("alias", ["lm_head.decoder_weight", "lm_head.weight"])
def test_a_head_that_is_stored_apart(name: str, alias: str, theirs: Any, tmp_path: Path) -> None:
    theirs.save_pretrained(str(tmp_path))
    state = {key: tensor.numpy() for key, tensor in theirs.chatglm.state_dict().items()}
    words = state["transformer.word_embeddings.weight"]
    paddle.save(state | {alias: words.copy()}, str(tmp_path / "model_state.pdparams"))
    assert_same(logits(ppernie.from_pretrained(tmp_path)), logits(theirs))
    paddle.save(state | {alias: words + 1}, str(tmp_path / "model_state.pdparams"))
    with pytest.raises(UserError, match=f"{alias}: differs from transformer.word_embeddings.weight"):
        ppernie.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["GLMForConditionalGeneration"])
def test_a_wrong_tensor(name: str, theirs: Any, tmp_path: Path) -> None:
    theirs.save_pretrained(str(tmp_path))
    state = {key: tensor.numpy() for key, tensor in theirs.state_dict().items()}
    state["glm.transformer.layers.1.mlp.dense_h_to_4h.weight"] = np.zeros((128, 32), np.float32)
    del state["glm.transformer.layers.0.attention.dense.bias"]
    paddle.save(state, str(tmp_path / "model_state.pdparams"))
    with pytest.raises(UserError) as caught:
        ppernie.from_pretrained(tmp_path)
    assert r"layers.1.mlp.dense_h_to_4h.weight: shape [128, 32] instead of [32, 128]" in str(caught.value)
    assert "layers.0.attention.dense.bias: missing" in str(caught.value)


@pytest.mark.parametrize("name", ["GLMForConditionalGeneration"])
def test_what_does_not_stand_alone(name: str, theirs: Any, tmp_path: Path) -> None:
    theirs.save_pretrained(str(tmp_path))
    with pytest.raises(UserError, match="has no encoder that stands alone"):
        ppernie.from_pretrained(tmp_path, "encoder")
    with pytest.raises(UserError, match="unknown head of glm 'sequence_classification'"):
        ppernie.from_pretrained(tmp_path, "sequence_classification")
    assert isinstance(ppernie.from_pretrained(tmp_path).config, GlmConfig)
