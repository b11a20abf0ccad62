"""The network for pretraining against plain numpy in float64: heads, generator's noise, losses; and every gradient.

No library has it. The heads are computed from what their networks hand them; that the encoder computes right is shown
beside, and so is what it is handed (``tests/unit/model_zoo/ernie_gram``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import paddle
import pytest

from model_zoo.ernie_gram.config import ErnieGramConfig
from model_zoo.ernie_gram.pretraining.config import GeneratorConfig, PretrainingConfig
from model_zoo.ernie_gram.pretraining.data import collate, mask_units, query_tokens
from model_zoo.ernie_gram.pretraining.modeling import ErnieGramForPretraining
from model_zoo.ernie_gram.pretraining.objectives import losses
from model_zoo.ernie_gram.pretraining.segmentation import Units

State = dict[str, np.ndarray]
SPECIAL = SimpleNamespace(pad_id=0, cls_id=1, sep_id=2, mask_id=3)
TOKENS, NGRAMS = 40, (15, 10)
CONFIG = ErnieGramConfig(
    vocab_size=44,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    hidden_act="gelu",
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    max_position_embeddings=40,
    type_vocab_size=2,
    initializer_range=0.02,
    layer_norm_eps=1e-5,
    pad_token_id=0,
    rel_pos_size=33,
)
GENERATOR = GeneratorConfig(num_hidden_layers=2, hidden_size=12, num_attention_heads=2, intermediate_size=20)


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def head(x: np.ndarray, table: np.ndarray, weights: State, name: str) -> np.ndarray:
    """Linear, GELU, norm, scores over a table."""
    x = x @ weights[f"{name}.transform.weight"] + weights[f"{name}.transform.bias"]
    x = x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + CONFIG.layer_norm_eps)
    x = x * weights[f"{name}.layer_norm.weight"] + weights[f"{name}.layer_norm.bias"]
    return x @ table.T + weights[f"{name}.decoder.bias"]


def random_batch(rng: np.random.Generator) -> State:
    """Texts of 18, 9 and 4 tokens, cut into units of 1 to 3 at random, with identities at random."""
    rows = []
    for length in (18, 9, 4):
        starts = np.flatnonzero((np.arange(length) % 3 == 0) | (rng.random(length) < 0.5))
        tokens = rng.integers(4, TOKENS, length)
        sizes = np.diff(starts, append=length)
        identities = np.where(sizes == 1, tokens[starts], TOKENS + rng.integers(0, sum(NGRAMS), len(starts)))
        units = Units(starts, identities, length)
        chosen = np.sort(rng.choice(len(starts), max(1, len(starts) // 3), replace=False))
        row = mask_units(tokens, units, chosen, SPECIAL) | query_tokens(tokens, units, chosen)
        rows.append(row | {"draws": rng.random(len(chosen), dtype=np.float32)})
    return collate(rows, SPECIAL)


class Case:
    """A network, a batch, and what its encoders made of it."""

    def __init__(self, parity: SimpleNamespace) -> None:
        rng = np.random.default_rng(0)
        paddle.seed(0)
        options = PretrainingConfig(output_size=8, generator=GENERATOR)
        self.model = ErnieGramForPretraining(CONFIG, options, TOKENS, NGRAMS)
        parity.randomize(self.model, rng)
        self.batch = random_batch(rng)
        self.hidden: State = {}
        self.model.backbone.encoder.register_forward_post_hook(self._keep("encoder"))
        self.model.generator.layers[-1].register_forward_post_hook(self._keep("generator"))

    def _keep(self, name: str) -> Any:
        def hook(_layer: Any, _inputs: Any, output: paddle.Tensor) -> None:
            self.hidden[name] = output.numpy().astype(np.float64)

        return hook

    @property
    def weights(self) -> State:
        return {name: value.numpy().astype(np.float64) for name, value in self.model.state_dict().items()}

    def run(self) -> tuple[dict[str, paddle.Tensor], dict[str, paddle.Tensor]]:
        """Outputs and losses."""
        batch = {name: paddle.to_tensor(array) for name, array in self.batch.items()}
        outputs = self.model(**{name: value for name, value in batch.items() if name not in ("tokens", "identities")})
        return outputs, losses(outputs, batch, SPECIAL.pad_id)

    def total(self) -> paddle.Tensor:
        return paddle.add_n(list(self.run()[1].values()))


@pytest.fixture
def case(parity: SimpleNamespace) -> Iterator[Case]:
    yield Case(parity)


def reference(case: Case, sampled: np.ndarray) -> dict[str, float]:
    """The losses, from the encoders' outputs and the samples."""
    batch, weights = case.batch, case.weights
    length = batch["input_ids"].shape[1] - batch["query_ids"].shape[1]
    encoded, width = case.hidden["encoder"], CONFIG.hidden_size
    units = encoded[:, :length].reshape(-1, width)[batch["masked_positions"]]
    queries = encoded[:, length:].reshape(-1, width)[batch["query_positions"]]
    proposals = case.hidden["generator"].reshape(-1, GENERATOR.hidden_size)[batch["masked_positions"]]
    table = weights["identities.weight"]
    scores = {
        "tokens": head(queries, weights["tokens.weight"], weights, "token_head"),
        "identities": head(units, table, weights, "identity_head"),
        "generator": head(proposals, table, weights, "generator.head"),
    }
    labels = {"tokens": batch["tokens"], "identities": batch["identities"], "generator": batch["identities"]}
    found = {
        name: -float(sum(row[label] for row, label in zip(log_softmax(scores[name]), labels[name], strict=True)))
        for name in scores
    }
    detected = (encoded[:, :length] @ weights["detector.weight"] + weights["detector.bias"])[..., 0]
    wrong = {p for p, s, y in zip(batch["masked_positions"], sampled, batch["identities"], strict=True) if s != y}
    found["original"] = 0.0
    for row, column in np.ndindex(*detected.shape):
        if batch["input_ids"][row, column] != SPECIAL.pad_id:
            sign = -1 if row * length + column in wrong else 1
            found["original"] += math.log1p(math.exp(-sign * detected[row, column]))
    return found


def test_losses(case: Case) -> None:
    outputs, sums = case.run()
    expected = reference(case, outputs["sampled"].numpy())
    assert sums.keys() == expected.keys()
    for name, value in expected.items():
        assert float(sums[name]) == pytest.approx(value, rel=1e-5), name


def test_samples_are_the_generators(case: Case) -> None:
    """Each draw against the cumulated probabilities, one class after the other."""
    outputs, _ = case.run()
    scores = outputs["generator"].numpy().astype(np.float64)
    for row, draw, found in zip(np.exp(log_softmax(scores)), case.batch["draws"], outputs["sampled"], strict=True):
        expected = next(i for i, end in enumerate(np.cumsum(row)) if draw < end)
        assert int(found) == expected


def test_gradient_of_every_tensor_along_a_random_direction(case: Case, parity: SimpleNamespace) -> None:
    """Central differences in float64; what is sampled stays, so the difference has no part through it either."""
    rng = np.random.default_rng(1)
    with parity.float64(case.model):
        case.total().backward()
        gradients = {name: p.grad.numpy() for name, p in case.model.named_parameters() if p.grad is not None}
        assert not {"backbone.pooler.weight", "backbone.pooler.bias"} & gradients.keys()
        assert len(gradients) == len(list(case.model.parameters())) - 2
        for name, parameter in case.model.named_parameters():
            if name not in gradients:
                continue
            value, direction = parameter.numpy(), rng.normal(size=parameter.shape)
            ends = []
            with paddle.no_grad():
                for step in (1e-5, -1e-5):
                    parameter.set_value(value + step * direction)
                    ends.append(float(case.total()))
                parameter.set_value(value)
            slope = (ends[0] - ends[1]) / 2e-5
            found = float((gradients[name] * direction).sum())
            assert abs(found - slope) < 1e-5 * np.linalg.norm(gradients[name]) + 1e-7, name


def test_float32_gradients(case: Case, parity: SimpleNamespace) -> None:
    """The kernels of training against the same in float64."""
    case.model.train()
    case.total().backward()
    ours = {name: p.grad.numpy() for name, p in case.model.named_parameters() if p.grad is not None}
    case.model.clear_gradients()
    with parity.float64(case.model):
        case.total().backward()
        exact = {name: p.grad.numpy() for name, p in case.model.named_parameters() if p.grad is not None}
    parity.assert_close(ours, exact, 1e-5)
