"""LoRA in a network: where it goes, what learns, and that merging changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie import registry
from ppernie.errors import UserError
from ppernie.peft import Adapters, Lora
from ppernie.peft.network import add_adapters
from ppernie.peft.plan import lora_targets, plan_with_adapters
from ppernie.peft.weights import fingerprint, merged

IDS = np.array([[1, 5, 6, 7, 2], [1, 8, 9, 2, 0]])
PLAN = "ernie3/ErnieForSequenceClassification"
EVERYTHING = {"rank": 3, "alpha": 2.0, "targets": ["*.self_attn.*", "*.feed_forward.linear?"]}


@pytest.fixture
def network(make_model: Callable[..., Any]) -> Any:
    model = make_model("ErnieForSequenceClassification", num_labels=3)
    model.eval()
    return model


def outputs(network: Any) -> np.ndarray:
    return network(paddle.to_tensor(IDS)).numpy()


def test_a_new_adapter_changes_nothing(network: Any, tuned: Callable[..., Any]) -> None:
    plain = outputs(network)
    tuned(network, registry.arch_plan(PLAN), lora={"rank": 3})
    fresh = [name for name, _ in network.named_parameters() if "lora_" in name]
    assert len(fresh) == 2 * 2 * 2
    network.reset_parameters(fresh)
    assert all(network.state_dict()[name].abs().sum() > 0 for name in fresh if "lora_a" in name)
    np.testing.assert_array_equal(outputs(network), plain)


def test_only_adapters_take_gradients(network: Any, tuned: Callable[..., Any]) -> None:
    tuned(network, registry.arch_plan(PLAN), lora=EVERYTHING)
    network.train()
    network(paddle.to_tensor(IDS)).square().sum().backward()
    with_gradient = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert with_gradient == {name for name, _ in network.named_parameters() if "lora_" in name}
    assert len(with_gradient) == 2 * 2 * 4


def test_merged_weights_make_the_plain_network_equal(
    network: Any, make_model: Callable[..., Any], tuned: Callable[..., Any], arrays: Callable[..., Any]
) -> None:
    before = outputs(network)
    tuned(network, registry.arch_plan(PLAN), lora=EVERYTHING)
    plain = make_model("ErnieForSequenceClassification", seed=9, num_labels=3)
    plain.eval()
    weights = merged(arrays(network), Lora(**EVERYTHING))
    for name, parameter in plain.named_parameters():
        parameter.set_value(np.asarray(weights.pop(name)))
    assert not weights
    assert np.abs(outputs(network) - before).max() > 1e-2
    np.testing.assert_allclose(outputs(plain), outputs(network), atol=1e-5)


def test_the_update_is_alpha_over_rank_times_the_product(
    network: Any, tuned: Callable[..., Any], arrays: Callable[..., Any]
) -> None:
    tuned(network, registry.arch_plan(PLAN), lora={"rank": 2, "alpha": 3.0})
    layer = network.backbone.encoder.layers[0].self_attn.out_proj
    x = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)
    w, b, down, up = (p.numpy() for p in (layer.weight, layer.bias, layer.lora_a.weight, layer.lora_b.weight))
    np.testing.assert_allclose(layer(paddle.to_tensor(x)).numpy(), x @ w + b + 1.5 * (x @ down) @ up, atol=1e-5)


def test_dropout_is_of_what_the_update_reads(network: Any, tuned: Callable[..., Any]) -> None:
    tuned(network, registry.arch_plan(PLAN), lora={"rank": 2, "dropout": 0.5})
    steady = outputs(network)
    np.testing.assert_array_equal(outputs(network), steady)
    network.train()
    assert np.abs(outputs(network) - outputs(network)).max() > 1e-3


def test_targets_come_from_the_plan(network: Any) -> None:
    names = [name for name, _ in network.named_sublayers()]
    plan = registry.arch_plan(PLAN)
    attention = lora_targets(names, plan, None)
    assert attention == [
        f"backbone.encoder.layers.{n}.self_attn.{part}_proj" for n in (0, 1) for part in ("qkv", "out")
    ]
    assert lora_targets(names, plan, ["*.1.*linear2"]) == ["backbone.encoder.layers.1.feed_forward.linear2"]
    for pattern in ("*.word_embeddings", "classifier", "nowhere"):
        with pytest.raises(UserError, match=r"names no linear layer.*out_proj"):
            lora_targets(names, plan, ["*.self_attn.*", pattern])


def test_a_network_with_adapters_fits_the_plan(network: Any) -> None:
    """Of a layer cut by outputs B is cut as it is, and of one cut by inputs A."""
    add_adapters(network, registry.arch_plan(PLAN), Adapters(lora=Lora(**EVERYTHING)))
    cuts = plan_with_adapters(registry.arch_plan(PLAN)).cuts(network, network.backbone.config, 1)
    block = "backbone.encoder.layers.0."
    assert cuts[f"{block}self_attn.qkv_proj.lora_a.weight"].axis is None
    assert cuts[f"{block}self_attn.out_proj.lora_b.weight"].axis is None
    assert cuts[f"{block}self_attn.qkv_proj.lora_b.weight"].local_shape(2) == (3, 24)
    assert cuts[f"{block}self_attn.qkv_proj.lora_b.weight"].unit == cuts[f"{block}self_attn.qkv_proj.weight"].unit
    assert cuts[f"{block}self_attn.out_proj.lora_a.weight"].local_shape(2) == (8, 3)
    assert cuts[f"{block}feed_forward.linear1.lora_b.weight"].axis == 1
    assert cuts[f"{block}feed_forward.linear2.lora_a.weight"].axis == 0


def test_the_fingerprint_is_of_names_shapes_and_values() -> None:
    weights = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.float32)}
    known = fingerprint(weights)
    assert fingerprint({"b": weights["b"].astype(np.float16), "a": weights["a"]}) == known
    others = [
        {"a": weights["a"], "c": weights["b"]},
        {"a": weights["a"].T, "b": weights["b"]},
        {"a": weights["a"] + 1e-6 * weights["a"], "b": weights["b"]},
    ]
    assert known not in [fingerprint(other) for other in others]
