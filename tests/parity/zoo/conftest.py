"""Small networks of ours as model folders, and their outputs beside those of other libraries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie import registry
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import save_model

TOKENS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *"我爱北京天安门，。学习abc012$", "##b", "##1", "##门"]
FIELDS: dict[str, Any] = {
    "vocab_size": len(TOKENS),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 56,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 24,
    "type_vocab_size": 2,
    "task_type_vocab_size": 0,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}
OF_FAMILY: dict[str, dict[str, Any]] = {
    "ernie3": {"type_vocab_size": 4, "task_type_vocab_size": 3},
    "ernie_gram": {"layer_norm_eps": 1e-5, "rel_pos_size": 0},
}


@pytest.fixture
def save_ours(parity: SimpleNamespace) -> Callable[..., Any]:
    """Writes a model folder with random weights, and returns its network."""

    def save(folder: Path, kind: str, family: str = "ernie3", **fields: Any) -> Any:
        config_class = registry.family_config(family)
        convert = registry.family_convert(family)
        assert config_class is not None and convert is not None
        config = config_class(**FIELDS | OF_FAMILY[family] | fields)
        name = convert.LAYOUTS["ppernie"].brand + kind
        labels = parity.classes(name)
        model = registry.network_class(family, name)(config, *([labels] if labels else []))
        parity.randomize(model, np.random.default_rng(0))
        model.eval()
        task: dict[str, Any] | None = {"name": "multiple_choice", "choices": 3} if "Choice" in kind else None
        if labels:
            task = {"name": "sequence_classification", "labels": [f"类{n}" for n in range(labels)]}
        description = ModelDescription(
            arch={"name": f"{family}/{name}", **config.model_dump()}, task=task, max_length=24
        )
        state = {name: parameter.numpy() for name, parameter in model.named_parameters()}
        save_model(folder, state, description, ErnieTokenizer(TOKENS), {})
        return model

    return save


@pytest.fixture
def inputs(parity: SimpleNamespace) -> Callable[[Any], dict[str, np.ndarray]]:
    """Padded ids and segments for a network of ours."""

    def draw(model: Any) -> dict[str, np.ndarray]:
        arrays = parity.random_inputs(type(model).__name__, model.config, np.random.default_rng(1))
        # PaddleNLP's heads take no task types; both libraries then take 0, as we do.
        return {name: arrays[name] for name in ("input_ids", "token_type_ids")}

    return draw


@pytest.fixture
def run_ours() -> Callable[..., list[np.ndarray]]:
    """Outputs of a network of ours: logits, or the last layer and the pooled first token."""

    def run(model: Any, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
        with paddle.no_grad():
            result = model(**{name: paddle.to_tensor(array) for name, array in arrays.items()})
        return [tensor.numpy() for tensor in (result if isinstance(result, tuple) else (result,))]

    return run


@pytest.fixture
def assert_near() -> Callable[..., None]:
    """Outputs within 1e-5 of a reference's, relative to its largest magnitude."""

    def check(ours: list[np.ndarray], reference: list[np.ndarray]) -> None:
        for one, other in zip(ours, reference, strict=True):
            assert np.abs(one - other).max() < 1e-5 * np.abs(other).max()

    return check
