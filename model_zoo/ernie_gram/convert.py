"""ERNIE-Gram in the checkpoints of PaddleNLP, Hugging Face and PaddlePaddle/ERNIE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from model_zoo.ernie_gram.config import ErnieGramConfig
from ppernie.errors import UserError
from ppernie.zoo import encoder_configs, encoder_layouts
from ppernie.zoo.layout import Head, Kind, Layout, Row

_RELATIVE = (
    Row("relative_positions", "embeddings.rel_pos_embeddings", "", "rel_pos_bias_emb",
        "rel_pos_embedding", "table",
        ("rel_pos_size", "num_attention_heads")),
)  # fmt: skip
# What pretraining adds to the encoder; no other network takes it over.
_PRETRAINING = ("identities.", "tokens.", "identity_head.", "token_head.", "queries.", "generator.",
                "ngram_projection.", "detector.")  # fmt: skip


def _for_pretraining(layout: Layout) -> Layout:
    """The layout with the network that begins with an encoder, and makes the rest anew."""
    heads = {**layout.heads, "ForPretraining": Head(reads_pooler=False)}
    return replace(layout, heads=heads, head_names=(*layout.head_names, *_PRETRAINING))


_LAYOUTS = {
    "ppernie": encoder_layouts.ours("ErnieGram", _RELATIVE),
    "paddlenlp": encoder_layouts.paddlenlp("ErnieGram", "ernie_gram.", _RELATIVE),
    # Hugging Face has no class of its own: the Chinese models are ERNIE's network.
    "huggingface": encoder_layouts.huggingface("Ernie"),
    "repository": encoder_layouts.repository("ErnieGram", _RELATIVE),
    "static": encoder_layouts.static("ErnieGram", _RELATIVE),
}
LAYOUTS = {library: _for_pretraining(layout) for library, layout in _LAYOUTS.items()}
MODEL_TYPES = {"paddlenlp": "ernie_gram", "huggingface": "ernie"}

_PADDLENLP_EPSILON = 1e-5
_PADDLENLP_KINDS = ("Model", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")


def layout(library: str, config: ErnieGramConfig) -> Layout:
    """How a library writes networks of this configuration."""
    return LAYOUTS[library]


def recognizes(library: str, values: Mapping[str, Any]) -> bool:
    """Whether a library's configuration file is one of ERNIE-Gram; in Hugging Face's it cannot be told from ERNIE."""
    if library in ("repository", "static"):
        return bool(values.get("rel_pos_size"))
    architecture = (values.get("architectures") or [""])[-1]
    named = "model_type" not in values and architecture.startswith("ErnieGram")
    return values.get("model_type") == "ernie_gram" or named


def read_config(library: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of ``ErnieGramConfig`` from a library's configuration file. Raises UserError for what we do not have."""
    fields = encoder_configs.from_foreign(library, values, _PADDLENLP_EPSILON, {"type_vocab_size": 2})
    return fields | {"rel_pos_size": values.get("rel_pos_size") or 0}


def write_config(library: str, config: ErnieGramConfig, kind: Kind, labels: Sequence[str] | None) -> dict[str, Any]:
    """A library's ``config.json``. Raises UserError where its network would compute something else."""
    title = LAYOUTS[library].title
    if config.rel_pos_size:
        raise UserError(
            f"{title} has no network that applies ERNIE-Gram's relative position bias, which this model has: "
            "without it every output would be wrong"
        )
    if library == "paddlenlp" and kind not in _PADDLENLP_KINDS:
        raise UserError(
            f"PaddleNLP has no ErnieGram{kind}; it has {', '.join(f'ErnieGram{k}' for k in _PADDLENLP_KINDS)}"
        )
    if library == "paddlenlp":
        encoder_configs.check_epsilon(config, "ERNIE-Gram", _PADDLENLP_EPSILON)
    values = encoder_configs.to_foreign(config, MODEL_TYPES[library], f"{LAYOUTS[library].brand}{kind}", labels)
    return values | ({"embedding_size": config.hidden_size} if library == "paddlenlp" else {})
