"""The gradient of GLM's word embeddings over a run."""

from __future__ import annotations

import paddle
import pytest

from model_zoo.glm.config import GlmConfig
from model_zoo.glm.modeling import GlmEmbeddings
from ppernie.engine.embedding_gradient import EmbeddingGradient


@pytest.fixture
def network() -> paddle.nn.Layer:
    """One that has GLM's embeddings."""
    config = GlmConfig(
        **{"vocab_size": 7, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1},
        **{"intermediate_size": 4, "max_position_embeddings": 8, "layer_norm_eps": 1e-5},
        **{"normalization": "deepnorm", "positions": "rotary_1d", "feed_forward": "geglu"},
        **{"embedding_gradient": 0.3, "attention_dropout_prob": 0.0, "hidden_dropout_prob": 0.0},
    )
    layer = paddle.nn.Layer()
    layer.embeddings = GlmEmbeddings(config)
    return layer


def gradient(network: paddle.nn.Layer) -> float:
    """Of an embedding that was looked up once."""
    weight = network.embeddings.word_embeddings.weight
    weight.clear_grad()
    ids = paddle.to_tensor([[3]])
    network.embeddings(ids, paddle.zeros([1, 1, 1], "int64")).sum().backward()
    return float(weight.grad[3, 0])


def test_it_follows_the_lines_between_its_points(network: paddle.nn.Layer) -> None:
    """GLM-130B's first points: a tenth up to step 6000, whole from step 6500 on."""
    schedule = EmbeddingGradient(network, [(6000, 0.1), (6500, 1.0)])
    for step, factor in ((1, 0.1), (6000, 0.1), (6250, 0.55), (6500, 1.0), (49300, 1.0)):
        assert schedule.set(step) == pytest.approx(factor)
        assert gradient(network) == pytest.approx(factor)


def test_without_it_the_architecture_says_how_much(network: paddle.nn.Layer) -> None:
    assert gradient(network) == pytest.approx(0.3)
