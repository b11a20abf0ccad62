"""Which weights are quantised, by the plans of real families."""

from __future__ import annotations

from ppernie import registry
from ppernie.slim.weight_only.selection import block_of, quantized_weights


def test_of_glm_the_four_matrices_of_a_layer() -> None:
    layer = [
        "norm1.weight",
        "attention.qkv_proj.weight",
        "attention.qkv_proj.bias",
        "attention.out_proj.weight",
        "attention.out_proj.bias",
        "norm2.weight",
        "feed_forward.linear1.weight",
        "feed_forward.linear2.weight",
    ]
    names = ["embeddings.word_embeddings.weight", *(f"layers.{n}.{one}" for n in (0, 12) for one in layer)]
    names.append("final_norm.weight")
    assert quantized_weights(names, registry.family_plan("glm")) == [
        f"layers.{n}.{one}.weight"
        for n in (0, 12)
        for one in ("attention.qkv_proj", "attention.out_proj", "feed_forward.linear1", "feed_forward.linear2")
    ]


def test_of_ernie_no_head_and_no_table() -> None:
    names = [
        "backbone.embeddings.word_embeddings.weight",
        "backbone.encoder.layers.3.self_attn.qkv_proj.weight",
        "backbone.encoder.layers.3.norm1.weight",
        "backbone.pooler.weight",
        "classifier.weight",
    ]
    assert quantized_weights(names, registry.family_plan("ernie3")) == [names[1]]


def test_blocks() -> None:
    plan = registry.family_plan("glm")
    assert block_of("layers.12.attention.qkv_proj.weight", plan) == "layers.12"
    assert block_of("final_norm.weight", plan) is None
