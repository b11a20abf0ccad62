"""P-tuning v2 in a GLM: prefixes are keys and values put before all others, in training and step by step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import paddle
import pytest

from model_zoo.glm.config import GlmConfig
from model_zoo.glm.modeling import GlmForBlankInfilling
from model_zoo.glm.plan import PLAN
from ppernie.peft import Adapters, Lora, Prefix
from ppernie.peft.network import add_adapters, connect_adapters, freeze
from ppernie.peft.plan import plan_with_adapters
from ppernie.peft.prefix import settle_prefixes
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import load_network, save_model

SIZES: dict[str, Any] = {
    "vocab_size": 36,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 21,
    "max_position_embeddings": 40,
    "layer_norm_eps": 1e-5,
    "attention_dropout_prob": 0.0,
    "hidden_dropout_prob": 0.0,
}
KINDS: dict[str, dict[str, Any]] = {
    "glm": {"normalization": "pre", "positions": "learned_2d", "feed_forward": "gelu_tanh"},
    "glm-130b": {"normalization": "deepnorm", "positions": "rotary_1d", "feed_forward": "geglu"},
}
TOKENS = 4


@pytest.fixture(params=KINDS)
def config(request: pytest.FixtureRequest) -> GlmConfig:
    return GlmConfig(**SIZES | KINDS[request.param])


@pytest.fixture
def batch(config: GlmConfig) -> SimpleNamespace:
    """Two texts of 9 tokens, the second behind 2 of padding; the first 5, or 6, are the context."""
    rng = np.random.default_rng(0)
    start = np.array([[0] * 9, [2] * 9])
    rows = [np.tile(np.arange(9), (2, 1)), np.zeros((2, 9), np.int64)][: config.position_rows]
    arrays = {
        "input_ids": rng.integers(0, 36, (2, 9)),
        "position_ids": np.stack(rows, axis=1),
        "visible": np.stack([start, np.array([[5] * 9, [6] * 9]), start], axis=1),
    }
    return SimpleNamespace(**{name: paddle.to_tensor(array) for name, array in arrays.items()})


def make(config: GlmConfig, **fields: Any) -> tuple[GlmForBlankInfilling, set[str]]:
    """A network with adapters, all of it random, and the names of its own parameters."""
    network = GlmForBlankInfilling(config)
    own = {name for name, _ in network.named_parameters()}
    tuning: Any = Adapters(**fields)
    add_adapters(network, PLAN, tuning)
    connect_adapters(network, tuning)
    freeze(network, own)
    rng = np.random.default_rng(1)
    for name, parameter in network.named_parameters():
        is_norm = "norm" in name and name.endswith("weight")
        parameter.set_value((rng.normal(scale=0.3, size=parameter.shape) + is_norm).astype(np.float32))
    network.eval()
    return network, own


@pytest.mark.parametrize("projection", [None, 5])
def test_prefixes_alone_learn(config: GlmConfig, batch: SimpleNamespace, projection: int | None) -> None:
    network, own = make(config, prefix=Prefix(tokens=TOKENS, projection=projection))
    network.train()
    network(batch.input_ids, batch.position_ids, batch.visible).square().mean().backward()
    learning = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert learning == {name for name, _ in network.named_parameters()} - own
    assert len(learning) == 2 * (1 if projection is None else 5)


def test_a_prefix_is_keys_and_values_before_the_others(config: GlmConfig) -> None:
    """Head by head and query by query, by the softmax's own words."""
    network, _ = make(config, prefix=Prefix(tokens=TOKENS))
    attention = network.layers[1].attention
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 6, 24)).astype(np.float32)
    hidden = np.triu(np.ones((6, 6), bool), 1)
    mask = paddle.to_tensor((hidden * -1e4).astype(np.float32)).expand([2, 1, 6, 6])
    positions = paddle.arange(6).expand([2, config.position_rows, 6])
    rotation = None if network.rotary is None else network.rotary(positions)
    found = attention(paddle.to_tensor(x), mask, rotation)

    qkv = attention._projected(paddle.to_tensor(x), rotation).numpy()
    prefix = attention.prefix.weight.numpy()
    context = np.zeros((2, 6, 3, 8))
    for row, place, head in np.ndindex(2, 6, 3):
        keys = np.concatenate([prefix[head, 0], qkv[row, : place + 1, head, 1]])
        values = np.concatenate([prefix[head, 1], qkv[row, : place + 1, head, 2]])
        weights = np.exp(keys @ qkv[row, place, head, 0] / np.sqrt(8))
        context[row, place, head] = weights @ values / weights.sum()
    expected = context.reshape(2, 6, 24) @ attention.out_proj.weight.numpy() + attention.out_proj.bias.numpy()
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("adapter", [{"prefix": Prefix(tokens=TOKENS)}, {"lora": Lora(rank=2)}], ids=["prefix", "lora"])
def test_reading_step_by_step_equals_reading_at_once(
    config: GlmConfig, batch: SimpleNamespace, adapter: dict[str, Any]
) -> None:
    network, _ = make(config, **adapter)
    whole = network(batch.input_ids, batch.position_ids, batch.visible).numpy()
    plain = GlmForBlankInfilling(config)
    plain.set_state_dict(network.state_dict())
    plain.eval()
    assert np.abs(plain(batch.input_ids, batch.position_ids, batch.visible).numpy() - whole).max() > 1e-2
    logits, reading = network.read(batch.input_ids[:, :7], batch.position_ids[:, :, :7], batch.visible[:, :, :7])
    np.testing.assert_allclose(logits.numpy(), whole[:, 6], atol=2e-4)
    for place in (7, 8):
        here = slice(place, place + 1)
        logits, reading = network.read_on(batch.input_ids[:, here], batch.position_ids[:, :, here], reading)
        np.testing.assert_allclose(logits.numpy(), whole[:, place], atol=2e-4)


def test_a_folder_has_its_prefixes_settled_when_it_is_loaded(
    config: GlmConfig, batch: SimpleNamespace, tmp_path: Any
) -> None:
    prefix = Prefix(tokens=TOKENS, projection=5)
    network, _ = make(config, prefix=prefix)
    arch = {"name": "glm/GlmForBlankInfilling", **config.model_dump()}
    description = ModelDescription(arch=arch, task=None, max_length=9, tuning=Adapters(prefix=prefix))
    weights = {name: parameter.numpy() for name, parameter in network.named_parameters()}
    save_model(tmp_path / "model", weights, description, None, {})
    loaded = load_network(tmp_path / "model", description)
    loaded.eval()
    names = [name for name, _ in loaded.named_parameters() if "prefix" in name]
    assert names == [f"layers.{number}.attention.prefix.weight" for number in (0, 1)]
    arguments = batch.input_ids, batch.position_ids, batch.visible
    np.testing.assert_allclose(loaded(*arguments).numpy(), network(*arguments).numpy(), atol=1e-5)


def test_prefixes_are_cut_by_heads(config: GlmConfig) -> None:
    plan = plan_with_adapters(PLAN)
    network, _ = make(config, prefix=Prefix(tokens=TOKENS))
    assert plan.cuts(network, config, 3)["layers.0.attention.prefix.weight"].local_shape(3) == (1, 2, TOKENS, 8)
    projected, _ = make(config, prefix=Prefix(tokens=TOKENS, projection=5))
    cuts = plan.cuts(projected, config, 3)
    assert cuts["layers.0.attention.prefix.outer.weight"].local_shape(3) == (5, 16)
    # A rank's columns of the last map make its heads of the settled prefix.
    whole = projected.layers[0].attention.prefix
    settle_prefixes(projected)
    settled = projected.layers[0].attention.prefix.weight.numpy()
    inner = paddle.tanh(whole.inner(whole.table.weight))
    made = (inner @ whole.outer.weight[:, 16:32] + whole.outer.bias[16:32]).numpy()
    np.testing.assert_allclose(settled[1], made.reshape(TOKENS, 2, 8).transpose(1, 0, 2), atol=1e-6)
