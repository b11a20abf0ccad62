from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from model_zoo.glm.config import GlmConfig, parameter_count
from ppernie.zoo import manifest

GLM = [variant for variant in manifest.variants().values() if variant.network == "glm"]
SMALL: dict[str, Any] = {
    "vocab_size": 11,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 5,
    "max_position_embeddings": 7,
    "normalization": "pre",
    "positions": "learned_2d",
    "feed_forward": "gelu_tanh",
    "layer_norm_eps": 1e-5,
    "attention_dropout_prob": 0.1,
    "hidden_dropout_prob": 0.1,
}

# Shapes in GLM-130B's released checkpoint, its 8 parts put together: of one layer, and outside the layers.
LAYER_130B = [
    *[(12288,)] * 4,
    (36864, 12288),
    (36864,),
    (12288, 12288),
    (12288,),
    (65536, 12288),
    (65536,),
    (12288, 32768),
    (12288,),
]
REST_130B = [(150528, 12288), (12288,), (12288,)]


def config(**changes: Any) -> GlmConfig:
    return GlmConfig(**(SMALL | changes))


def numbers(shapes: list[tuple[int, ...]]) -> int:
    return sum(map(math.prod, shapes))


def test_parameters_of_glm_130b() -> None:
    variant = manifest.find("glm-130b")
    assert variant.parameters == 70 * numbers(LAYER_130B) + numbers(REST_130B) == 128_697_794_560


@pytest.mark.parametrize("variant", GLM, ids=lambda variant: variant.name)
def test_parameters_of_a_variant(variant: manifest.Variant) -> None:
    assert parameter_count(GlmConfig(**variant.architecture)) == variant.parameters


def test_parameters_of_each_switch() -> None:
    layer = [(36, 12), (36,), (12, 12), (12,), (5, 12), (5,), (12, 5), (12,), *[(12,)] * 4]
    plain = 2 * numbers(layer) + numbers([(11, 12), (12,), (12,)])
    assert parameter_count(config(positions="rotary_2d")) == plain
    assert parameter_count(config(positions="rotary_1d")) == plain
    assert parameter_count(config()) == plain + numbers([(8, 12), (8, 12)])
    assert parameter_count(config(positions="rotary_1d", feed_forward="geglu")) == plain + 2 * numbers([(5, 12), (5,)])


def test_scale_of_the_residual() -> None:
    assert GlmConfig(**manifest.find("glm-130b").architecture).residual_scale == pytest.approx(11.8321596, abs=1e-7)
    assert GlmConfig(**manifest.find("chatglm-6b").architecture).residual_scale == pytest.approx(7.483, abs=1e-3)
    assert config().residual_scale == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"num_attention_heads": 5},
        {"num_attention_heads": 4, "positions": "rotary_1d"},
        {"normalization": "post"},
        {"heads": 3},
    ],
)
def test_a_wrong_configuration(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**changes)
