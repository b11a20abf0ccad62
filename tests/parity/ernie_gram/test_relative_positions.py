"""The encoder with relative positions, which no library runs, against the same in plain numpy and float64.

Sources of the reference: section 3.4 of arXiv:2010.12148 for the encoder, and for the buckets the reader of the
released English models (PaddlePaddle/ERNIE, branch repro, ernie-gram/reader/batching.py).
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from model_zoo.ernie_gram.config import ErnieGramConfig
from model_zoo.ernie_gram.modeling import ErnieGramModel

State = dict[str, np.ndarray]
LENGTHS = [100, 37]  # 91 is where the last bucket begins
CONFIG = ErnieGramConfig(
    vocab_size=60,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    hidden_act="gelu",
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    max_position_embeddings=100,
    type_vocab_size=2,
    initializer_range=0.02,
    layer_norm_eps=1e-5,
    pad_token_id=0,
    rel_pos_size=33,
)
TABLE = "relative_positions.weight"


def bucket(query: int, key: int) -> int:
    if query == 0:
        return 16
    if key == 0:
        return 32
    distance = abs(key - query)
    if distance >= 8:
        distance = min(15, 8 + math.floor(8 * math.log(distance / 8) / math.log(128 / 8)))
    return distance + 16 * (key < query)


BUCKETS = np.array([[bucket(query, key) for key in range(max(LENGTHS))] for query in range(max(LENGTHS))])


def norm(x: np.ndarray, weights: State, name: str) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + CONFIG.layer_norm_eps)
    return centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: np.ndarray, weights: State, name: str) -> np.ndarray:
    return x @ weights[f"{name}.weight"] + weights[f"{name}.bias"]


def gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def attention(x: np.ndarray, mask: np.ndarray, weights: State, name: str) -> np.ndarray:
    batch, length, width = x.shape
    qkv = linear(x, weights, f"{name}.qkv_proj").reshape(batch, length, CONFIG.num_attention_heads, 3, -1)
    query, key, value = qkv.transpose(3, 0, 2, 1, 4)
    scores = query @ key.swapaxes(-1, -2) / math.sqrt(query.shape[-1]) + mask
    probabilities = np.exp(scores - scores.max(-1, keepdims=True))
    probabilities /= probabilities.sum(-1, keepdims=True)
    context = (probabilities @ value).transpose(0, 2, 1, 3).reshape(batch, length, width)
    return linear(context, weights, f"{name}.out_proj")


def encode(weights: State, input_ids: np.ndarray, token_type_ids: np.ndarray) -> State:
    """The last layer and the pooled first token."""
    length = input_ids.shape[1]
    token = (input_ids != CONFIG.pad_token_id).astype(np.float64)
    mask = (token[:, None, :, None] * token[:, None, None, :] - 1) * 10000
    mask = mask + weights[TABLE][BUCKETS[:length, :length]].transpose(2, 0, 1)
    x = weights["embeddings.word_embeddings.weight"][input_ids]
    x = x + weights["embeddings.position_embeddings.weight"][:length]
    x = x + weights["embeddings.token_type_embeddings.weight"][token_type_ids]
    x = norm(x, weights, "embeddings.layer_norm")
    for layer in (f"encoder.layers.{i}" for i in range(CONFIG.num_hidden_layers)):
        x = norm(x + attention(x, mask, weights, f"{layer}.self_attn"), weights, f"{layer}.norm1")
        inner = gelu(linear(x, weights, f"{layer}.feed_forward.linear1"))
        x = norm(x + linear(inner, weights, f"{layer}.feed_forward.linear2"), weights, f"{layer}.norm2")
    return {"sequence": x, "pooled": np.tanh(linear(x[:, 0], weights, "pooler"))}


class Case:
    """A network and a batch of a full row and a padded one; padding counts for nothing in the loss."""

    def __init__(self, parity: SimpleNamespace) -> None:
        paddle.seed(0)
        rng = np.random.default_rng(0)
        model = ErnieGramModel(CONFIG)
        parity.randomize(model, rng)
        model.relative_positions.weight.set_value(rng.normal(size=[33, 2]).astype(np.float32))
        shape = len(LENGTHS), max(LENGTHS)
        ids = rng.integers(1, CONFIG.vocab_size, shape) * (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None])
        self.inputs = {"input_ids": ids, "token_type_ids": rng.integers(0, 2, shape)}
        self.labels = parity.random_labels("ErnieGramModel", CONFIG, ids, rng)
        self.weights = {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}

        def forward(**inputs: paddle.Tensor) -> dict[str, paddle.Tensor]:
            return parity.named_outputs("ErnieGramModel", model(**inputs))

        self.ours = parity.step(model, forward, self.inputs, self.labels)

    def loss(self, changed: State) -> float:
        outputs = encode(self.weights | changed, **self.inputs)
        return float(sum((outputs[name] ** 2 * factors).sum() for name, factors in self.labels.items()))

    def slope(self, name: str, direction: np.ndarray, width: float = 1e-4) -> float:
        """The central difference of the loss along ``direction`` in a parameter."""
        ahead, behind = (self.loss({name: self.weights[name] + sign * width * direction}) for sign in (1, -1))
        return (ahead - behind) / (2 * width)


@pytest.fixture
def case(parity: SimpleNamespace) -> Case:
    return Case(parity)


def test_outputs_and_loss(case: Case, parity: SimpleNamespace) -> None:
    tokens = case.inputs["input_ids"] != CONFIG.pad_token_id
    reference = encode(case.weights, **case.inputs)
    ours = case.ours.outputs
    parity.assert_close({"sequence": ours["sequence"][tokens]}, {"sequence": reference["sequence"][tokens]})
    parity.assert_close({"pooled": ours["pooled"]}, {"pooled": reference["pooled"]})
    assert float(case.ours.loss) == pytest.approx(case.loss({}), rel=1e-5)


def test_gradient_of_every_bias(case: Case, parity: SimpleNamespace) -> None:
    rows, heads = case.weights[TABLE].shape
    units = np.eye(rows * heads).reshape(-1, rows, heads)
    reference = np.array([case.slope(TABLE, unit) for unit in units]).reshape(rows, heads)
    # Row 16 shifts all scores of [CLS] alike, so softmax hides it; every other row must have been exercised.
    assert np.abs(np.delete(reference, 16, axis=0)).min() > 0
    parity.assert_close({TABLE: case.ours.gradients[TABLE]}, {TABLE: reference})


def test_gradient_of_every_tensor_along_a_random_direction(case: Case) -> None:
    rng = np.random.default_rng(1)
    assert case.ours.gradients.keys() == case.weights.keys()
    for name, gradient in case.ours.gradients.items():
        direction = rng.normal(size=gradient.shape)
        found, expected = float((gradient * direction).sum()), case.slope(name, direction, width=1e-5)
        assert abs(found - expected) < 1e-5 * np.linalg.norm(gradient), name
