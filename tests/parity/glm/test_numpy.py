"""The network against plain numpy in float64, over what its tokens may see: logits, loss and every gradient."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F

State = dict[str, np.ndarray]
NETWORKS = pytest.mark.parametrize("name", ["glm", "chatglm", "glm-130b", "glm-130b-half"])
LENGTH, STEP = 12, 1e-5


def sees(visible: np.ndarray, seen: np.ndarray, row: int, start: int, context: int, own: int, end: int) -> None:
    """Tokens from own to end, of which each sees those from start to context, and those from own to itself."""
    visible[row, :, own:end] = np.array([start, context, own])[:, None]
    for query in range(own, end):
        seen[row, query, start:context] = True
        seen[row, query, own : query + 1] = True


def plain(visible: np.ndarray, seen: np.ndarray) -> None:
    for row, context in enumerate((5, 1, 12)):
        sees(visible, seen, row, 0, context, 0, LENGTH)


def packed(visible: np.ndarray, seen: np.ndarray) -> None:
    for row in range(3):
        for first in range(0, LENGTH, 3):
            sees(visible, seen, row, first, first + 1 + row % 2, first, first + 3)


def choices(visible: np.ndarray, seen: np.ndarray) -> None:
    for row, prompt in enumerate((4, 5, 6)):
        sees(visible, seen, row, 0, prompt, 0, prompt)
        sees(visible, seen, row, 0, prompt, prompt, 8)
        sees(visible, seen, row, 0, prompt, 8, LENGTH)


def padded(visible: np.ndarray, seen: np.ndarray) -> None:
    for row, pads in enumerate((0, 3, 5)):
        sees(visible, seen, row, pads, pads + 4, pads, LENGTH)
        # What a padding token sees does not matter, since nobody sees it; but it must see something.
        visible[row, :, :pads] = np.array([pads, pads + 4, pads])[:, None]
        seen[row, :pads, pads : pads + 4] = True


SIGHTS = {"plain": plain, "packed": packed, "choices": choices, "padded": padded}


def batch(sight: str, config: Any, seed: int = 1) -> SimpleNamespace:
    rng = np.random.default_rng(seed)
    visible, seen = np.zeros((3, 3, LENGTH), np.int64), np.zeros((3, LENGTH, LENGTH), bool)
    SIGHTS[sight](visible, seen)
    positions = rng.integers(0, config.max_position_embeddings, (3, config.position_rows, LENGTH))
    predicted = np.sort(rng.choice(3 * LENGTH, 14, replace=False))
    return SimpleNamespace(
        ids=rng.integers(0, config.vocab_size, (3, LENGTH)),
        positions=positions,
        visible=visible,
        seen=seen,
        predicted=predicted,
        labels=rng.integers(0, config.vocab_size, len(predicted)),
    )


def forward(model: paddle.nn.Layer, data: SimpleNamespace, predicted: np.ndarray | None = None) -> paddle.Tensor:
    inputs = [paddle.to_tensor(array) for array in (data.ids, data.positions, data.visible)]
    return model(*inputs, None if predicted is None else paddle.to_tensor(predicted))


def step(model: paddle.nn.Layer, data: SimpleNamespace) -> tuple[float, State]:
    loss = F.cross_entropy(forward(model, data, data.predicted), paddle.to_tensor(data.labels))
    loss.backward()
    gradients = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    model.clear_gradients()
    return float(loss), gradients


@NETWORKS
@pytest.mark.parametrize("sight", SIGHTS)
def test_logits(name: str, sight: str, network: Callable[..., SimpleNamespace], parity: SimpleNamespace) -> None:
    small = network(name)
    data = batch(sight, small.config)
    expected = {"logits": small.reference.logits(data.ids, data.positions, data.seen)}
    parity.assert_close({"logits": forward(small.model, data).numpy()}, expected)
    with parity.float64(small.model):
        parity.assert_close({"logits": forward(small.model, data).numpy()}, expected, 1e-10)
        chosen = forward(small.model, data, data.predicted).numpy()
    rows = expected["logits"].reshape(-1, small.config.vocab_size)[data.predicted]
    parity.assert_close({"logits": chosen}, {"logits": rows}, 1e-10)


@NETWORKS
def test_loss_and_gradients(
    name: str, network: Callable[..., SimpleNamespace], parity: SimpleNamespace, reference: Any
) -> None:
    small = network(name)
    data = batch("packed", small.config)

    def loss(changed: State) -> float:
        other = reference(small.config, small.weights | changed)
        return other.loss(data.ids, data.positions, data.seen, data.predicted, data.labels)

    single, rounded = step(small.model, data)
    with parity.float64(small.model):
        double, gradients = step(small.model, data)
    assert single == pytest.approx(loss({}), rel=1e-6)
    assert double == pytest.approx(loss({}), rel=1e-12)
    parity.assert_close(rounded, gradients)

    # Derivatives in random directions that all numbers of a parameter take part in.
    rng = np.random.default_rng(2)
    measured, found = [], []
    for key, gradient in gradients.items():
        for _ in range(2):
            direction = rng.choice([-1.0, 1.0], gradient.shape)
            ahead, behind = (loss({key: small.weights[key] + sign * STEP * direction}) for sign in (1, -1))
            measured.append((ahead - behind) / (2 * STEP))
            found.append(float((gradient * direction).sum()))
    assert np.abs(np.array(measured) - found).max() < 1e-7 * np.abs(measured).max()
    assert np.allclose(found, measured, rtol=1e-4, atol=1e-7 * np.abs(measured).max())


@NETWORKS
def test_only_the_lookup_is_shrunk(name: str, network: Callable[..., SimpleNamespace], parity: SimpleNamespace) -> None:
    """The table's gradient is the head's and a part of the lookup's, and the rest of the network does not notice."""
    data = batch("plain", network(name).config)
    _, whole = run(network(name), data, parity)
    shrunk_loss, shrunk = run(network(name, embedding_gradient=0.1), data, parity)
    _, half = run(network(name, embedding_gradient=0.55), data, parity)
    table = "embeddings.word_embeddings.weight"
    parity.assert_close(without(shrunk, table), without(whole, table), 1e-12)
    # Linear in the factor, and at factor 0 what the head alone gives.
    lookup = (whole[table] - shrunk[table]) / 0.9
    parity.assert_close({"half": half[table]}, {"half": whole[table] - 0.45 * lookup}, 1e-10)
    parity.assert_close({"head": whole[table] - lookup}, {"head": head_gradient(network(name), data, parity)}, 1e-10)
    # Nothing changes when the network is only used.
    model = network(name, embedding_gradient=0.1).model
    model.eval()
    plain_model = network(name).model
    plain_model.eval()
    assert np.array_equal(forward(model, data).numpy(), forward(plain_model, data).numpy())
    assert shrunk_loss == pytest.approx(float(F.cross_entropy(
        forward(plain_model, data, data.predicted), paddle.to_tensor(data.labels))), rel=1e-6)  # fmt: skip


def run(small: SimpleNamespace, data: SimpleNamespace, parity: SimpleNamespace) -> tuple[float, State]:
    with parity.float64(small.model):
        return step(small.model, data)


def without(gradients: State, name: str) -> State:
    return {key: gradient for key, gradient in gradients.items() if key != name}


def head_gradient(small: SimpleNamespace, data: SimpleNamespace, parity: SimpleNamespace) -> np.ndarray:
    """The derivative by the head's matrix: (softmax - one-hot) times the last layer's output."""
    model = small.model
    kept: list[np.ndarray] = []
    with parity.float64(model):
        hook = model.final_norm.register_forward_post_hook(lambda layer, given, output: kept.append(output.numpy()))
        scores = forward(model, data, data.predicted).numpy()
        hook.remove()
    chances = np.exp(scores - scores.max(-1, keepdims=True))
    chances /= chances.sum(-1, keepdims=True)
    chances[np.arange(len(data.labels)), data.labels] -= 1
    return chances.T @ kept[0] / len(data.labels)
