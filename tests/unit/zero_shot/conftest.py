"""A tiny network of ERNIE 3.0's own kind, its folder, and a scorer whose probabilities are drawn by lot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from model_zoo.ernie3.universal.config import VARIANTS
from ppernie import registry
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.zero_shot.prompts import Task, read_prompts
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import save_model

ARCH: dict[str, Any] = VARIANTS["tiny"] | {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "initializer_range": 0.3,
    "max_position_embeddings": 16,
    "memory_length": 8,
    "branch_hidden_size": 16,
    "branch_num_layers": 1,
    "branch_intermediate_size": 32,
}


@pytest.fixture(scope="package")
def network(tokenizer: ErnieTokenizer) -> Any:
    import paddle

    paddle.seed(0)
    name = "ernie3/ErnieUniversalForPretraining"
    config = registry.arch_config(name)(**ARCH | {"vocab_size": tokenizer.vocab_size})
    network = registry.arch_class(name)(config)
    network.reset_parameters()
    network.eval()
    return network


@pytest.fixture
def folder(tmp_path: Path, network: Any, tokenizer: ErnieTokenizer) -> Path:
    arch = {"name": "ernie3/ErnieUniversalForPretraining", **network.config.model_dump()}
    weights = {name: parameter.numpy() for name, parameter in network.named_parameters()}
    save_model(tmp_path / "model", weights, ModelDescription(arch=arch, task=None, max_length=16), tokenizer, {})
    return tmp_path / "model"


class Lot:
    """Log-probabilities that are a function of a token and all before it."""

    texts = 0

    def log_likelihoods(self, texts: Sequence[Sequence[int]]) -> list[np.ndarray]:
        self.texts += len(texts)
        return [np.asarray([self.of(text[: n + 1]) for n in range(1, len(text))]) for text in texts]

    def of(self, beginning: Sequence[int]) -> float:
        return -float(np.random.default_rng(tuple(beginning)).exponential())


@pytest.fixture
def lot() -> Lot:
    return Lot()


@pytest.fixture
def task_of(tmp_path: Path) -> Any:
    """A task from the keys of a prompt file."""

    def read(**keys: Any) -> Task:
        (tmp_path / "prompts.yaml").write_text(yaml.safe_dump({"tasks": {"one": keys}}), encoding="utf-8")
        return read_prompts(tmp_path / "prompts.yaml")["one"]

    return read
