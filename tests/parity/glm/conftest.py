"""GLM's networks in plain numpy and float64, written from the papers, and small networks of ours beside them.

Sources: sections 2.2 and 3 of arXiv:2210.02414 (DeepNorm, rotary positions, GEGLU), sections 2.2 and 2.3 of
arXiv:2103.10360 (two learned positions) and arXiv:2104.09864 (rotation). Every head and every pair of tokens is its own
here; what a token sees is a matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from model_zoo.glm.config import GlmConfig
from model_zoo.glm.modeling import GlmForBlankInfilling

State = dict[str, np.ndarray]
SIZES: dict[str, Any] = {
    "vocab_size": 37,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 40,
    "layer_norm_eps": 1e-5,
    "attention_dropout_prob": 0.0,
    "hidden_dropout_prob": 0.0,
}
_ROTARY_1D = {"normalization": "deepnorm", "positions": "rotary_1d", "feed_forward": "geglu"}
NETWORKS: dict[str, dict[str, Any]] = {
    "glm": {"normalization": "pre", "positions": "learned_2d", "feed_forward": "gelu_tanh"},
    "chatglm": {"normalization": "deepnorm", "positions": "rotary_2d", "feed_forward": "gelu_tanh"},
    "glm-130b": _ROTARY_1D,
    "glm-130b-half": _ROTARY_1D | {"rotary_precision": "float16"},
}


class Reference:
    """A network of ``weights``."""

    def __init__(self, config: GlmConfig, weights: State) -> None:
        self.config, self.weights = config, weights

    def logits(self, ids: np.ndarray, positions: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """[batch, length, vocab]; ``seen`` [batch, length, length] says which keys each query sees."""
        table = self.weights["embeddings.word_embeddings.weight"]
        x = table[ids]
        if self.config.positions == "learned_2d":
            x = x + self.weights["embeddings.position_embeddings.weight"][positions[:, 0]]
            x = x + self.weights["embeddings.block_position_embeddings.weight"][positions[:, 1]]
        deep = self.config.normalization == "deepnorm"
        alpha = math.sqrt(2 * self.config.num_hidden_layers)
        for number in range(self.config.num_hidden_layers):
            name = f"layers.{number}"
            u = self.norm(x, f"{name}.norm1")
            x = (alpha * u if deep else x) + self.attention(u, positions, seen, f"{name}.attention")
            v = self.norm(x, f"{name}.norm2")
            x = (alpha * v if deep else x) + self.feed_forward(v, f"{name}.feed_forward")
        return self.norm(x, "final_norm") @ table.T

    def loss(
        self, ids: np.ndarray, positions: np.ndarray, seen: np.ndarray, predicted: np.ndarray, labels: np.ndarray
    ) -> float:
        """Mean cross-entropy at the predicted places of the flattened batch."""
        scores = self.logits(ids, positions, seen).reshape(-1, self.config.vocab_size)[predicted]
        shifted = scores - scores.max(-1, keepdims=True)
        chosen = shifted[np.arange(len(labels)), labels]
        return float((np.log(np.exp(shifted).sum(-1)) - chosen).mean())

    def attention(self, x: np.ndarray, positions: np.ndarray, seen: np.ndarray, name: str) -> np.ndarray:
        size = self.config.head_size
        qkv = self.linear(x, f"{name}.qkv_proj")
        contexts = []
        for head in range(self.config.num_attention_heads):
            start = 3 * head * size
            query, key, value = (qkv[..., start + n * size : start + (n + 1) * size] for n in range(3))
            query, key = self.rotated(query, positions), self.rotated(key, positions)
            scores = np.where(seen, np.einsum("bqd,bkd->bqk", query, key) / math.sqrt(size), -np.inf)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            contexts.append(np.einsum("bqk,bkd->bqd", weights / weights.sum(-1, keepdims=True), value))
        return self.linear(np.concatenate(contexts, axis=-1), f"{name}.out_proj")

    def rotated(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        if self.config.positions == "learned_2d":
            return x
        parts = np.split(x, positions.shape[1], axis=-1)
        turned = [self.turned(part, positions[:, n]) for n, part in enumerate(parts)]
        return np.concatenate(turned, axis=-1)

    def turned(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Complex numbers, whose real parts are the first half, times those of the angles on the unit circle."""
        half = x.shape[-1] // 2
        dtype = np.dtype(self.config.rotary_precision)
        frequencies = np.array([10000 ** (-n / half) for n in range(half)]).astype(dtype)
        angles = positions[..., None].astype(dtype) * frequencies
        circle = np.cos(angles).astype(np.float64) + 1j * np.sin(angles).astype(np.float64)
        product = (x[..., :half] + 1j * x[..., half:]) * circle
        return np.concatenate([product.real, product.imag], axis=-1)

    def feed_forward(self, x: np.ndarray, name: str) -> np.ndarray:
        y = self.linear(x, f"{name}.linear1")
        if self.config.feed_forward == "geglu":
            value, gate = np.split(y, 2, axis=-1)
            return self.linear(value * gate * (1 + np.vectorize(math.erf)(gate / math.sqrt(2))) / 2, f"{name}.linear2")
        inner = math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)
        return self.linear(y * (1 + np.tanh(inner)) / 2, f"{name}.linear2")

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + self.config.layer_norm_eps)
        return centred / deviation * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


@pytest.fixture
def network() -> Callable[..., SimpleNamespace]:
    """A small network by its name in ``NETWORKS``, with random weights, and its reference."""

    def make(name: str, seed: int = 0, scale: float = 0.3, **fields: Any) -> SimpleNamespace:
        config = GlmConfig(**SIZES | NETWORKS[name] | fields)
        model = GlmForBlankInfilling(config)
        rng = np.random.default_rng(seed)
        for parameter_name, parameter in model.named_parameters():
            is_norm = "norm" in parameter_name and parameter_name.endswith("weight")
            parameter.set_value((rng.normal(scale=scale, size=parameter.shape) + is_norm).astype(np.float32))
        weights = {key: parameter.numpy().astype(np.float64) for key, parameter in model.named_parameters()}
        return SimpleNamespace(model=model, config=config, weights=weights, reference=Reference(config, weights))

    return make


@pytest.fixture
def reference() -> type[Reference]:
    return Reference
