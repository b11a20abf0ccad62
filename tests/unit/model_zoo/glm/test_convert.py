"""Layouts and configuration files of PaddleNLP's GLM and ChatGLM, without PaddleNLP."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_zoo.glm.config import GlmConfig
from model_zoo.glm.convert import layout, read_config, recognizes, write_config
from ppernie.errors import UserError
from ppernie.zoo import manifest
from ppernie.zoo.layout import State, fit, write

KIND = "ForBlankInfilling"
SIZES: dict[str, Any] = {
    "vocab_size": 13,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 48,
    "max_position_embeddings": 9,
    "layer_norm_eps": 1e-5,
    "attention_dropout_prob": 0.0,
    "hidden_dropout_prob": 0.0,
}
SWITCHES: dict[str, dict[str, Any]] = {
    "glm": {"normalization": "pre", "positions": "learned_2d", "feed_forward": "gelu_tanh"},
    "chatglm": {"normalization": "deepnorm", "positions": "rotary_2d", "feed_forward": "gelu_tanh"},
    "glm-130b": {"normalization": "deepnorm", "positions": "rotary_1d", "feed_forward": "geglu"},
}
BOTH = pytest.mark.parametrize("name", ["glm", "chatglm"])


def config(name: str, **changes: Any) -> GlmConfig:
    return GlmConfig(**SIZES | SWITCHES[name] | changes)


def our_state(fields: GlmConfig) -> State:
    """Random weights of the network's shapes."""
    from model_zoo.glm.modeling import GlmForBlankInfilling

    rng = np.random.default_rng(0)
    shapes = {name: parameter.shape for name, parameter in GlmForBlankInfilling(fields).named_parameters()}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("name", SWITCHES)
def test_our_own_layout_is_the_network(name: str) -> None:
    state = our_state(config(name))
    found = fit(state, config(name), layout("ppernie", config(name)), KIND)
    assert not found.left
    assert all(found.tensors[key] is array for key, array in state.items())
    assert found.tensors.keys() == state.keys()


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_round_trip_keeps_every_bit(name: str, dtype: str) -> None:
    state = {key: array.astype(dtype) for key, array in our_state(config(name)).items()}
    foreign = write(state, config(name), layout("paddlenlp", config(name)), KIND)
    assert all(array.flags.c_contiguous for array in foreign.values())
    prefix = f"{name}."
    assert all(key.startswith(prefix) for key in foreign)
    for stored in (foreign, {key.removeprefix(prefix): array for key, array in foreign.items()}):
        found = fit(stored, config(name), layout("paddlenlp", config(name)), KIND)
        assert not found.left
        assert {key: np.asarray(tensor).tobytes() for key, tensor in found.tensors.items()} == {
            key: array.tobytes() for key, array in state.items()
        }


@BOTH
def test_columns_of_the_joint_projection(name: str) -> None:
    """GLM's are all queries, all keys, all values; ChatGLM's and ours the three of each head."""
    heads, size = 3, 4
    state = our_state(config(name))
    foreign = write(state, config(name), layout("paddlenlp", config(name)), KIND)
    for which in ("weight", "bias"):
        ours = state[f"layers.1.attention.qkv_proj.{which}"]
        theirs = foreign[f"{name}.transformer.layers.1.attention.query_key_value.{which}"]
        if name == "chatglm":
            assert np.array_equal(ours, theirs)
            continue
        for head in range(heads):
            for part in range(3):
                here, there = (3 * head + part) * size, part * heads * size + head * size
                assert np.array_equal(theirs[..., there : there + size], ours[..., here : here + size])


def test_buffers_of_older_files() -> None:
    fields = config("chatglm")
    foreign = write(our_state(fields), fields, layout("paddlenlp", fields), KIND)
    buffers = (
        "rotary_emb.inv_freq",
        "layers.0.attention.rotary_emb.inv_freq",
        "layers.1.attention.rotary_emb.inv_freq",
    )
    foreign |= {f"chatglm.transformer.{name}": np.zeros(3, np.float32) for name in buffers}
    assert not fit(foreign, fields, layout("paddlenlp", fields), KIND).left
    foreign["chatglm.transformer.layers.2.attention.rotary_emb.inv_freq"] = np.zeros(3, np.float32)
    with pytest.raises(UserError, match=r"layers.2.attention.rotary_emb.inv_freq: unknown name"):
        fit(foreign, fields, layout("paddlenlp", fields), KIND)


@BOTH
def test_configuration_files_go_there_and_back(name: str) -> None:
    fields = config(name, **({"attention_dropout_prob": 0.2, "hidden_dropout_prob": 0.3} if name == "glm" else {}))
    values = write_config("paddlenlp", fields, KIND, None)
    assert recognizes("paddlenlp", values)
    assert GlmConfig(**read_config("paddlenlp", values)) == fields


@pytest.mark.parametrize(
    ("values", "variant"),
    [
        ({"model_type": "glm", "num_layers": 30, "hidden_size": 1152, "num_attention_heads": 18}, "glm-515m"),
        ({"model_type": "chatglm"}, "chatglm-6b"),
        ({"architectures": ["ChatGLMModel"], "inner_hidden_size": None}, "chatglm-6b"),
    ],
)
def test_defaults_of_absent_keys(values: dict[str, Any], variant: str) -> None:
    assert GlmConfig(**read_config("paddlenlp", values)) == GlmConfig(**manifest.find(variant).architecture)


@pytest.mark.parametrize(
    ("library", "values"),
    [
        ("huggingface", {"model_type": "glm"}),
        ("paddlenlp", {"model_type": "glm", "architectures": ["GlmForCausalLM"]}),
        ("paddlenlp", {"model_type": "ernie"}),
        ("repository", {}),
    ],
)
def test_others_are_not_taken_for_ours(library: str, values: dict[str, Any]) -> None:
    assert not recognizes(library, values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model_type": "glm", "block_position_encoding": False}, "block_position_encoding is False"),
        ({"model_type": "glm", "embedding_dropout_prob": 0.3}, "embedding_dropout_prob 0.3 differs"),
        ({"model_type": "chatglm", "position_encoding_2d": False}, "position_encoding_2d is False"),
        ({"model_type": "chatglm", "activation": "geglu"}, "activation is 'geglu'"),
        ({"model_type": "chatglm", "pre_seq_len": 8}, "pre_seq_len is 8"),
    ],
)
def test_configuration_files_of_other_networks(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_config("paddlenlp", values)


@pytest.mark.parametrize(
    ("library", "fields", "said"),
    [
        ("paddlenlp", config("glm-130b"), "has no network with normalization deepnorm, positions rotary_1d"),
        ("huggingface", config("glm"), "huggingface has no network with normalization pre"),
        ("paddlenlp", config("glm", intermediate_size=40), r"an intermediate_size of 4 \* hidden_size alone"),
        ("paddlenlp", config("chatglm", rotary_precision="float16"), "angles in float32, and this model in float16"),
    ],
)
def test_networks_that_a_library_does_not_have(library: str, fields: GlmConfig, said: str) -> None:
    with pytest.raises(UserError, match=said):
        write_config(library, fields, KIND, None)


def test_what_is_lost_is_told(caplog: pytest.LogCaptureFixture) -> None:
    fields = config("chatglm", hidden_dropout_prob=0.1, embedding_gradient=0.5)
    with caplog.at_level(logging.WARNING, "ppernie"):
        write_config("paddlenlp", fields, KIND, None)
        assert "no embedding_gradient and no hidden_dropout_prob" in caplog.text
        caplog.clear()
        write_config("paddlenlp", config("chatglm"), KIND, None)
    assert not caplog.records


def test_converting_needs_no_paddle(repository: Path) -> None:
    code = "import sys, model_zoo.glm.convert; sys.exit('paddle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=repository, check=False).returncode == 0
