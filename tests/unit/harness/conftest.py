"""A tokenizer learnt from a few sentences, tiny GLMs of the three kinds, and tasks over rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from model_zoo.glm.config import GlmConfig
from ppernie.data.tokenizers import GlmTokenizer
from ppernie.data.tokenizers.training import FIXED_PIECES, train_icetk
from ppernie.harness.tasks import Task, read_harness
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import save_model

SENTENCES = [
    "the quick brown fox jumps over the lazy dog.",
    "Is the answer yes or no? Yes, it is 42.",
    "A question has four options: A, B, C and D.",
    "Bright vixens jump; dozy fowl quack!",
]
ARCH: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "normalization": "deepnorm",
    "positions": "rotary_1d",
    "feed_forward": "geglu",
    "layer_norm_eps": 1e-5,
    "attention_dropout_prob": 0.1,
    "hidden_dropout_prob": 0.1,
}


@pytest.fixture(scope="package")
def glm_tokenizer() -> GlmTokenizer:
    return train_icetk(SENTENCES, FIXED_PIECES + 50)


@pytest.fixture(scope="package")
def make_scorer(glm_tokenizer: GlmTokenizer) -> Callable[..., Any]:
    """A scorer over a network drawn from a seed, with parameters large enough to tell texts apart."""

    def make(tokenizer: GlmTokenizer = glm_tokenizer, **changes: Any) -> Any:
        import paddle

        from model_zoo.glm.harness import Scorer
        from model_zoo.glm.modeling import GlmForBlankInfilling

        paddle.set_device("cpu")
        paddle.seed(1)
        network = GlmForBlankInfilling(GlmConfig(**ARCH | {"vocab_size": tokenizer.vocab_size + 3} | changes))
        for parameter in network.parameters():
            parameter.set_value(paddle.normal(0.0, 0.3, parameter.shape))
        return Scorer(network, tokenizer)

    return make


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory, make_scorer: Callable[..., Any]) -> Path:
    """The folder of such a network."""
    scorer = make_scorer()
    arch = {"name": "glm/GlmForBlankInfilling", **scorer.network.config.model_dump()}
    weights = {name: parameter.numpy() for name, parameter in scorer.network.named_parameters()}
    folder = tmp_path_factory.mktemp("glm") / "model"
    save_model(folder, weights, ModelDescription(arch=arch, task=None, max_length=64), scorer.tokenizer, {})
    return folder


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., None]:
    """Writes JSON lines."""

    def write(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    return write


@pytest.fixture
def task_of(tmp_path: Path) -> Callable[..., Task]:
    """A task from its keys."""

    def read(**keys: Any) -> Task:
        (tmp_path / "harness.yaml").write_text(json.dumps({"tasks": {"one": keys}}), encoding="utf-8")
        return read_harness(tmp_path / "harness.yaml").tasks["one"]

    return read
