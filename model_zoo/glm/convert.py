"""GLM and ChatGLM in the checkpoints of PaddleNLP, which has a class for each; GLM-130B has none there.

All have the same modules. PaddleNLP's GLM keeps all queries, all keys and all values of its joint projection together,
ChatGLM those of each head, as we do. The output head of both is the word table.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from model_zoo.glm.config import GlmConfig
from ppernie.errors import UserError
from ppernie.zoo.encoder_configs import check_heads
from ppernie.zoo.layout import Head, Kind, Layout, Row

logger = logging.getLogger("ppernie")

_KIND = "ForBlankInfilling"


def _rows(words: str) -> tuple[Row, ...]:
    """The network's modules; ``words`` is PaddleNLP's name of the word table."""
    layer = "transformer.layers.{layer}"
    rows: tuple[tuple[str, str, Any, tuple[str | int, ...]], ...] = (
        ("embeddings.word_embeddings", words, "table", ("vocab_size", "hidden_size")),
        ("embeddings.position_embeddings", "transformer.position_embeddings", "table",
         ("learned_positions", "hidden_size")),
        ("embeddings.block_position_embeddings", "transformer.block_position_embeddings", "table",
         ("learned_positions", "hidden_size")),
        ("layers.{layer}.norm1", f"{layer}.input_layernorm", "norm", ("hidden_size",)),
        ("layers.{layer}.attention.qkv_proj", f"{layer}.attention.query_key_value", "fused",
         ("hidden_size", "attention_size")),
        ("layers.{layer}.attention.out_proj", f"{layer}.attention.dense", "matrix", ("attention_size", "hidden_size")),
        ("layers.{layer}.norm2", f"{layer}.post_attention_layernorm", "norm", ("hidden_size",)),
        ("layers.{layer}.feed_forward.linear1", f"{layer}.mlp.dense_h_to_4h", "matrix",
         ("hidden_size", "feed_forward_outputs")),
        ("layers.{layer}.feed_forward.linear2", f"{layer}.mlp.dense_4h_to_h", "matrix",
         ("intermediate_size", "hidden_size")),
        ("final_norm", "transformer.final_layernorm", "norm", ("hidden_size",)),
    )  # fmt: skip
    return tuple(Row(ours, paddlenlp, "", "", "", kind, sizes) for ours, paddlenlp, kind, sizes in rows)


_OURS = Layout(
    title="ppernie",
    column="ours",
    brand="Glm",
    prefix="",
    backbone=_rows(""),
    heads={_KIND: Head(our_prefix="")},
)
_GLM = Layout(
    title="PaddleNLP",
    column="paddlenlp",
    brand="GLM",
    prefix="glm.",
    backbone=_rows("word_embeddings"),
    heads={_KIND: Head(our_prefix="")},
    kinds={"ForConditionalGeneration": _KIND, "Model": _KIND, "ForMultipleChoice": _KIND},
    in_turn=True,
)
# PaddleNLP ties the head and does not store it; other trainers stored it apart.
_WORDS = "{prefix}transformer.word_embeddings.weight"
_CHATGLM = Layout(
    title="PaddleNLP",
    column="paddlenlp",
    brand="ChatGLM",
    prefix="chatglm.",
    backbone=_rows("transformer.word_embeddings"),
    heads={_KIND: Head(our_prefix="", aliases={"lm_head.decoder_weight": _WORDS, "lm_head.weight": _WORDS})},
    kinds={"ForCausalLM": _KIND, "Model": _KIND},
    buffers=(
        "transformer.rotary_embeddings.inv_freq",
        "transformer.rotary_emb.inv_freq",
        "transformer.layers.{layer}.attention.rotary_emb.inv_freq",
    ),
)

# Fields that say which of PaddleNLP's networks one is.
_IS_GLM = {"normalization": "pre", "positions": "learned_2d", "feed_forward": "gelu_tanh"}
_IS_CHATGLM = {"normalization": "deepnorm", "positions": "rotary_2d", "feed_forward": "gelu_tanh"}
# Keys whose other values change the mathematics.
_ONLY: dict[str, dict[str, Any]] = {
    "glm": {"block_position_encoding": True, "relative_encoding": False},
    "chatglm": {
        "position_encoding_2d": True,
        "activation": "gelu",
        "attention_scale": True,
        "pre_seq_len": None,
        "use_long_sequence_strategies": False,
    },
}
# What PaddleNLP's configuration classes take where a key is absent.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "glm": {
        "vocab_size": 30592,
        "hidden_size": 1024,
        "num_layers": 24,
        "num_attention_heads": 16,
        "max_sequence_length": 512,
        "layernorm_epsilon": 1e-5,
        "attention_dropout_prob": 0.1,
        "embedding_dropout_prob": 0.1,
        "output_dropout_prob": 0.1,
    },
    "chatglm": {
        "vocab_size": 130528,
        "hidden_size": 4096,
        "num_hidden_layers": 28,
        "num_attention_heads": 32,
        "max_sequence_length": 2048,
        "layernorm_epsilon": 1e-5,
        "inner_hidden_size": 16384,
    },
}


def layout(library: str, config: GlmConfig) -> Layout:
    """How a library writes networks of this configuration. Raises UserError where it has none."""
    if library == "ppernie":
        return _OURS
    fields = dict(config)
    if library == "paddlenlp" and fields | _IS_GLM == fields:
        return _GLM
    if library == "paddlenlp" and fields | _IS_CHATGLM == fields:
        return _CHATGLM
    raise UserError(
        f"{library} has no network with normalization {config.normalization}, positions {config.positions} and "
        f"feed_forward {config.feed_forward}; PaddleNLP has GLM's and ChatGLM-6B's, and ppernie all"
    )


def recognizes(library: str, values: Mapping[str, Any]) -> bool:
    """Whether a library's configuration file is one of PaddleNLP's GLM or ChatGLM."""
    return library == "paddlenlp" and _model_type(values) in _DEFAULTS


def read_config(library: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of ``GlmConfig`` from a library's configuration file. Raises UserError for what we do not have."""
    kind = _model_type(values)
    for name, only in _ONLY[kind].items():
        if values.get(name, only) != only:
            raise UserError(f"{name} is {values[name]!r}; our networks have {only!r} alone")
    known = {**_DEFAULTS[kind], **values}
    fields = {
        "vocab_size": known["vocab_size"],
        "hidden_size": known["hidden_size"],
        "num_attention_heads": known["num_attention_heads"],
        "max_position_embeddings": known["max_sequence_length"],
        "layer_norm_eps": known["layernorm_epsilon"],
    }
    inner = 4 * known["hidden_size"] if isinstance(known["hidden_size"], int) else None
    if kind == "chatglm":
        return {
            **fields,
            **_IS_CHATGLM,
            "num_hidden_layers": values.get("num_layers", known["num_hidden_layers"]),
            "intermediate_size": inner if known["inner_hidden_size"] is None else known["inner_hidden_size"],
            "attention_dropout_prob": 0.0,
            "hidden_dropout_prob": 0.0,
        }
    if known["embedding_dropout_prob"] != known["output_dropout_prob"]:
        raise UserError(
            f"embedding_dropout_prob {known['embedding_dropout_prob']} differs from output_dropout_prob "
            f"{known['output_dropout_prob']}, which is not supported"
        )
    return {
        **fields,
        **_IS_GLM,
        "num_hidden_layers": values.get("num_hidden_layers", known["num_layers"]),
        "intermediate_size": inner,
        "attention_dropout_prob": known["attention_dropout_prob"],
        "hidden_dropout_prob": known["output_dropout_prob"],
    }


def write_config(library: str, config: GlmConfig, kind: Kind, labels: Sequence[str] | None) -> dict[str, Any]:
    """A library's ``config.json``. Raises UserError where its network would compute something else.

    What only training reads and PaddleNLP does not know is left out, and the log says so.
    """
    check_heads(config, "PaddleNLP")
    values: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_attention_heads": config.num_attention_heads,
        "max_sequence_length": config.max_position_embeddings,
        "layernorm_epsilon": config.layer_norm_eps,
        "output_predict": True,
    }
    lost = ["embedding_gradient"] if config.embedding_gradient < 1 else []
    if layout(library, config) is _GLM:
        if config.intermediate_size != 4 * config.hidden_size:
            raise UserError(
                f"PaddleNLP's GLM has an intermediate_size of 4 * hidden_size alone, and this model has "
                f"{config.intermediate_size} with {config.hidden_size}"
            )
        values |= {
            "architectures": ["GLMForConditionalGeneration"],
            "model_type": "glm",
            "num_layers": config.num_hidden_layers,
            "attention_dropout_prob": config.attention_dropout_prob,
            "embedding_dropout_prob": config.hidden_dropout_prob,
            "output_dropout_prob": config.hidden_dropout_prob,
        }
    else:
        if config.rotary_precision != "float32":
            raise UserError(
                f"PaddleNLP's ChatGLM computes angles in float32, and this model in {config.rotary_precision}: its "
                "outputs there would differ"
            )
        values |= {
            "architectures": ["ChatGLMForCausalLM"],
            "model_type": "chatglm",
            "num_hidden_layers": config.num_hidden_layers,
            "inner_hidden_size": config.intermediate_size,
        }
        lost += [name for name in ("attention_dropout_prob", "hidden_dropout_prob") if getattr(config, name)]
    if lost:
        logger.warning("PaddleNLP's network has no %s: training there would differ", " and no ".join(lost))
    return values


def _model_type(values: Mapping[str, Any]) -> str:
    """``glm`` or ``chatglm``, or something else; Hugging Face's later models of type glm have classes of Glm."""
    architecture = (values.get("architectures") or [""])[-1]
    named = {"GLM": "glm", "ChatGLM": "chatglm"}
    for brand, model_type in named.items():
        if architecture.startswith(brand):
            return model_type
    return "" if architecture else str(values.get("model_type"))
