"""GLM-130B's published class, run at a small width with angles in half precision: logits, and what it remembers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from model_zoo.glm.config import GlmConfig
from model_zoo.glm.modeling import GlmForBlankInfilling

TOLERANCE = 2e-5
NAMES = {
    "norm1": "input_layernorm",
    "attention.qkv_proj": "attention.query_key_value",
    "attention.out_proj": "attention.dense",
    "norm2": "post_attention_layernorm",
    "feed_forward.linear1": "mlp.dense_h_to_4h",
    "feed_forward.linear2": "mlp.dense_4h_to_h",
}
CONFIG = GlmConfig(
    vocab_size=160,
    hidden_size=64,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=96,
    max_position_embeddings=64,
    normalization="deepnorm",
    positions="rotary_1d",
    rotary_precision="float16",
    feed_forward="geglu",
    layer_norm_eps=1e-5,
    attention_dropout_prob=0.0,
    hidden_dropout_prob=0.0,
)


@pytest.fixture(scope="module")
def dump(shared_oracles: Path) -> dict[str, np.ndarray]:
    return dict(np.load(shared_oracles / "glm130b_sat_halfrope.npz"))


@pytest.fixture(scope="module")
def model(dump: dict[str, np.ndarray]) -> GlmForBlankInfilling:
    names = {"embeddings.word_embeddings": "word_embeddings", "final_norm": "final_layernorm"}
    for layer in range(CONFIG.num_hidden_layers):
        names |= {f"layers.{layer}.{ours}": f"layers.{layer}.{theirs}" for ours, theirs in NAMES.items()}
    model = GlmForBlankInfilling(CONFIG)
    for name, parameter in model.named_parameters():
        module, _, which = name.rpartition(".")
        array = dump[f"w:transformer.{names[module]}.{which}"]
        turned = array.ndim == 2 and module != "embeddings.word_embeddings"
        parameter.set_value(np.ascontiguousarray(array.T) if turned else array)
    model.eval()
    return model


@pytest.fixture
def inputs(dump: dict[str, np.ndarray], request: pytest.FixtureRequest) -> SimpleNamespace:
    """Ids, positions of one of the two mask tokens, and the visibility that the dump's mask stands for."""
    ids, hidden = dump["ids"], dump["mask"][:, 0]
    context = (~hidden[:, 0]).sum(-1)
    length = np.arange(ids.shape[1])
    seen = (length < context[:, None, None]) | (length <= length[:, None])
    assert np.array_equal(seen, ~hidden)
    visible = np.zeros((len(ids), 3, ids.shape[1]), np.int64)
    visible[:, 1] = context[:, None]
    positions = dump[f"pos_{request.param}"][:, None]
    return SimpleNamespace(
        arrays=[paddle.to_tensor(array) for array in (ids, positions, visible)], logits=dump[f"logits_{request.param}"]
    )


def difference(ours: paddle.Tensor, reference: np.ndarray) -> float:
    return float(np.abs(ours.numpy() - reference).max() / np.abs(reference).max())


BOTH = pytest.mark.parametrize("inputs", ["gmask", "mask"], indirect=True)


@BOTH
def test_logits(model: GlmForBlankInfilling, inputs: SimpleNamespace) -> None:
    with paddle.no_grad():
        assert difference(model(*inputs.arrays), inputs.logits) < TOLERANCE


@BOTH
def test_logits_token_by_token(model: GlmForBlankInfilling, inputs: SimpleNamespace) -> None:
    ids, positions, visible = inputs.arrays
    prompt = int(visible[0, 1, 0]) + 1
    scores, reading = model.read(ids[:, :prompt], positions[:, :, :prompt], visible[:, :, :prompt])
    assert difference(scores, inputs.logits[:, prompt - 1]) < TOLERANCE
    for n in range(prompt, ids.shape[1]):
        scores, reading = model.read_on(ids[:, n : n + 1], positions[:, :, n : n + 1], reading)
        assert difference(scores, inputs.logits[:, n]) < TOLERANCE


@pytest.mark.parametrize("inputs", ["gmask"], indirect=True)
def test_keys_and_values_that_are_remembered(
    model: GlmForBlankInfilling, inputs: SimpleNamespace, dump: dict[str, np.ndarray]
) -> None:
    _, reading = model.read(*inputs.arrays)
    for past, remembered in zip(reading.layers, dump["mem_kv"], strict=True):
        both = paddle.concat([tensor.transpose([0, 2, 1, 3]).flatten(2) for tensor in past], axis=-1)
        assert difference(both, remembered) < TOLERANCE


@pytest.mark.parametrize("inputs", ["gmask"], indirect=True)
def test_the_precision_of_the_angles_shows(
    model: GlmForBlankInfilling, inputs: SimpleNamespace, dump: dict[str, np.ndarray]
) -> None:
    exact = GlmForBlankInfilling(CONFIG.model_copy(update={"rotary_precision": "float32"}))
    exact.set_state_dict(model.state_dict())
    exact.eval()
    with paddle.no_grad():
        assert difference(exact(*inputs.arrays), inputs.logits) > 1e-3
