"""The configuration files of other libraries' text encoders, to the fields of ``EncoderConfig`` and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ppernie.architectures import EncoderConfig, HeadedConfig
from ppernie.errors import UserError

_SAME = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
    "pad_token_id",
)

# What the libraries take where a key is absent: their configuration classes, and the ERNIE repository's ErnieModel.
_DEFAULTS: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "classifier_dropout": None,
    "max_position_embeddings": 512,
    "task_type_vocab_size": 3,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "use_task_id": False,
}
_PADDLENLP = {**_DEFAULTS, "type_vocab_size": 16}
_HUGGINGFACE = {**_DEFAULTS, "type_vocab_size": 2}

# Keys whose other values change the mathematics.
_ONLY = {
    "pool_act": "tanh",
    "task_id": 0,
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "has_pooler": True,
}


def from_foreign(
    library: str, values: Mapping[str, Any], epsilon: float, defaults: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """Fields of ``EncoderConfig`` from a library's configuration file.

    Args:
        library: ``paddlenlp``, ``huggingface``, or ``repository`` or ``static`` for an archive.
        epsilon: of the layer norms in PaddleNLP: its classes set their own, whatever the file says.
        defaults: of PaddleNLP's configuration class, where they differ from ERNIE's.

    Raises:
        UserError: a key has a value that our network does not know.
    """
    if library == "paddlenlp":
        return _fields(values, {**_PADDLENLP, **defaults}) | {"layer_norm_eps": epsilon}
    if library == "huggingface":
        return _fields(values, _HUGGINGFACE)
    return _from_repository(values)


def check_epsilon(config: EncoderConfig, title: str, epsilon: float) -> None:
    """Raises UserError where PaddleNLP's class, ``title``, would compute with another epsilon than the model's."""
    if config.layer_norm_eps != epsilon:
        raise UserError(
            f"PaddleNLP's {title} computes with layer_norm_eps {epsilon} alone, and this model has "
            f"{config.layer_norm_eps}: its outputs there would differ"
        )


def check_heads(config: HeadedConfig, library: str) -> None:
    """Raises UserError for heads that were pruned: other libraries compute a head's width from their number."""
    if config.head_dim is not None:
        raise UserError(
            f"this model's heads were pruned: they are {config.attention_size} wide together (head_dim "
            f"{config.head_dim}), and in {library} always as wide as the network; it runs with ppernie alone"
        )


def _from_repository(values: Mapping[str, Any]) -> dict[str, Any]:
    width = values.get("hidden_size", _DEFAULTS["hidden_size"])
    implied = {
        "intermediate_size": 4 * width if isinstance(width, int) else None,
        "layer_norm_eps": 1e-5,
        "use_task_id": False,
    }
    types = values.get("sent_type_vocab_size") or values.get("type_vocab_size", 2)
    return _fields({**implied, **values, "type_vocab_size": types}, _HUGGINGFACE)


def to_foreign(
    config: EncoderConfig, model_type: str, architecture: str, labels: Sequence[str] | None
) -> dict[str, Any]:
    """The content of a ``config.json`` that PaddleNLP and Hugging Face read alike.

    Raises UserError where they have no such network.
    """
    check_heads(config, "PaddleNLP or Hugging Face")
    values: dict[str, Any] = {"architectures": [architecture], "model_type": model_type}
    values |= {name: getattr(config, name) for name in _SAME}
    values |= {"use_task_id": bool(config.task_type_vocab_size)}
    if config.task_type_vocab_size:
        values["task_type_vocab_size"] = config.task_type_vocab_size
    if labels is not None:
        values["id2label"] = {str(index): label for index, label in enumerate(labels)}
        values["label2id"] = {label: index for index, label in enumerate(labels)}
    return values


def _fields(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    for name, only in _ONLY.items():
        if values.get(name, only) != only:
            raise UserError(f"{name} is {values[name]!r}; this library's encoder has {only!r} alone")
    known = {**defaults, **values}
    for name in ("emb_size", "embedding_size"):
        if known.get(name, known["hidden_size"]) not in (None, known["hidden_size"]):
            raise UserError(
                f"{name} {known[name]} differs from hidden_size {known['hidden_size']}, which is not supported"
            )
    fields = {name: known[name] for name in _SAME}
    return fields | {"task_type_vocab_size": known["task_type_vocab_size"] if known["use_task_id"] else 0}
