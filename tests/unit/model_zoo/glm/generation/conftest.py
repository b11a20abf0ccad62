"""Small networks of the three forms, and a tokenizer learnt from a few words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.data.tokenizers import GlmTokenizer

TEXT = ["the cat sat on the mat", "a dog ran after the cat and the bird", "birds sing in the old trees", "雨中山果落"]
WINDOW = 64
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": WINDOW,
    "layer_norm_eps": 1e-5,
    "attention_dropout_prob": 0.0,
    "hidden_dropout_prob": 0.0,
}
FORMS: dict[str, dict[str, str]] = {
    "glm": {"normalization": "pre", "positions": "learned_2d", "feed_forward": "gelu_tanh"},
    "chatglm": {"normalization": "deepnorm", "positions": "rotary_2d", "feed_forward": "gelu_tanh"},
    "glm-130b": {"normalization": "deepnorm", "positions": "rotary_1d", "feed_forward": "geglu"},
}


@pytest.fixture(scope="session")
def icetk() -> GlmTokenizer:
    from ppernie.data.tokenizers.training import train_icetk

    return train_icetk(TEXT * 5, 378)


@pytest.fixture(scope="session", params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def make_network(icetk: GlmTokenizer) -> Callable[[str], Any]:
    """A network in eval mode whose texts vary; its word table has rows behind the vocabulary."""

    def make(form: str) -> Any:
        import paddle

        from model_zoo.glm.config import GlmConfig
        from model_zoo.glm.modeling import GlmForBlankInfilling

        paddle.set_device("cpu")
        paddle.seed(5)
        network = GlmForBlankInfilling(GlmConfig(vocab_size=icetk.vocab_size + 10, **SIZES, **FORMS[form]))
        network.reset_parameters()
        for name, parameter in network.named_parameters():
            if name.endswith("weight"):
                parameter.set_value(paddle.normal(0.0, 0.5, parameter.shape))
        network.eval()
        return network

    return make


@pytest.fixture(scope="session")
def network(make_network: Callable[[str], Any], form: str) -> Any:
    return make_network(form)


@pytest.fixture
def make_task(icetk: GlmTokenizer) -> Callable[..., Any]:
    def make(network: Any, max_length: int = WINDOW, **options: Any) -> Any:
        from model_zoo.glm.generation import TextGeneration

        task = TextGeneration(TextGeneration.Options(**options), icetk, max_length)
        task.adapt(network.config)
        return task

    return make


@pytest.fixture(scope="session")
def folder(network: Any, icetk: GlmTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as a pretraining run leaves it."""
    from ppernie.zoo.description import ModelDescription
    from ppernie.zoo.folder import save_model

    arch = {"name": "glm/GlmForBlankInfilling", **network.config.model_dump()}
    description = ModelDescription(arch=arch, task={"name": "glm/blank_infilling"}, max_length=WINDOW)
    weights = {name: parameter.numpy() for name, parameter in network.named_parameters()}
    path = tmp_path_factory.mktemp("glm") / "model"
    save_model(path, weights, description, icetk, {})
    return path
