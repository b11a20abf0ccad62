"""ERNIE in the checkpoints of PaddleNLP, Hugging Face and PaddlePaddle/ERNIE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from model_zoo.ernie3.config import ErnieConfig
from ppernie.zoo import encoder_configs, encoder_layouts
from ppernie.zoo.layout import Kind, Layout

LAYOUTS = {
    "ppernie": encoder_layouts.ours("Ernie"),
    "paddlenlp": encoder_layouts.paddlenlp("Ernie", "ernie."),
    "huggingface": encoder_layouts.huggingface("Ernie"),
    "repository": encoder_layouts.repository("Ernie"),
    "static": encoder_layouts.static("Ernie"),
}
MODEL_TYPES = {"paddlenlp": "ernie", "huggingface": "ernie"}

_PADDLENLP_EPSILON = 1e-12


def layout(library: str, config: ErnieConfig) -> Layout:
    """How a library writes networks of this configuration."""
    return LAYOUTS[library]


def recognizes(library: str, values: Mapping[str, Any]) -> bool:
    """Whether a library's configuration file is one of ERNIE."""
    if library in ("repository", "static"):
        return not values.get("rel_pos_size")
    architecture = (values.get("architectures") or [""])[-1]
    named = architecture.startswith(("ErnieModel", "ErnieFor"))
    return values.get("model_type") == "ernie" or ("model_type" not in values and named)


def read_config(library: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of ``ErnieConfig`` from a library's configuration file. Raises UserError for what we do not have."""
    return encoder_configs.from_foreign(library, values, _PADDLENLP_EPSILON)


def write_config(library: str, config: ErnieConfig, kind: Kind, labels: Sequence[str] | None) -> dict[str, Any]:
    """A library's ``config.json``. Raises UserError where its network would compute something else."""
    if library == "paddlenlp":
        encoder_configs.check_epsilon(config, "ERNIE", _PADDLENLP_EPSILON)
    return encoder_configs.to_foreign(config, MODEL_TYPES[library], f"Ernie{kind}", labels)
