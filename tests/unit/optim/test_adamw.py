from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.config.sections import OptimizerSection
from ppernie.optim.adamw import AdamW
from ppernie.optim.groups import layer_scales

RATES = [1e-2, 2e-2, 3e-2, 2e-2, 1e-2]
NO_DECAY = ["bias", "norm"]


def section(**changes: Any) -> OptimizerSection:
    return OptimizerSection(**{"learning_rate": 1e-2, "weight_decay": 0.1, "no_decay": NO_DECAY} | changes)


def gradients(model: paddle.nn.Layer, step: int) -> dict[str, np.ndarray]:
    """Gradients that depend on nothing but step and shape, of very different sizes."""
    rng = np.random.default_rng(step)
    return {
        name: (rng.standard_normal(p.shape) * 10.0 ** rng.integers(-4, 2)).astype(np.float32)
        for name, p in model.named_parameters()
    }


def update(model: paddle.nn.Layer, optimizer: AdamW, step: int) -> None:
    """One update with ``gradients``, by way of a loss that has them."""
    found = gradients(model, step)
    loss = sum((p * paddle.to_tensor(found[name])).sum() for name, p in model.named_parameters())
    loss.backward()
    optimizer.step(RATES[step % len(RATES)])
    optimizer.clear_grad()


def weights(model: paddle.nn.Layer) -> dict[str, np.ndarray]:
    return {name: np.array(p.numpy()) for name, p in model.named_parameters()}


def reference(model: paddle.nn.Layer, layer_decay: float, betas: tuple[float, float], epsilon: float) -> Any:
    """Loshchilov and Hutter 2019, algorithm 2, in float64."""
    values = {name: value.astype(np.float64) for name, value in weights(model).items()}
    scales = layer_scales(list(values), layer_decay)
    first = {name: np.zeros_like(value) for name, value in values.items()}
    second = {name: np.zeros_like(value) for name, value in values.items()}
    for step, rate in enumerate(RATES):
        for name, gradient in gradients(model, step).items():
            g = gradient.astype(np.float64)
            own = rate * scales[name]
            first[name] = betas[0] * first[name] + (1 - betas[0]) * g
            second[name] = betas[1] * second[name] + (1 - betas[1]) * g * g
            m, v = first[name] / (1 - betas[0] ** (step + 1)), second[name] / (1 - betas[1] ** (step + 1))
            decay = 0.0 if any(part in name for part in NO_DECAY) else 0.1
            values[name] = values[name] - own * decay * values[name] - own * m / (np.sqrt(v) + epsilon)
    return values


@pytest.fixture
def model(make_model: Callable[..., Any]) -> Any:
    return make_model("ErnieForSequenceClassification", num_labels=3)


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
def test_five_updates_equal_the_published_algorithm(model: Any, layer_decay: float) -> None:
    betas, epsilon = (0.8, 0.95), 1e-6
    expected = reference(model, layer_decay, betas, epsilon)
    optimizer = AdamW(model, section(layer_decay=layer_decay, betas=betas, epsilon=epsilon))
    for step in range(len(RATES)):
        update(model, optimizer, step)
    for name, value in weights(model).items():
        np.testing.assert_allclose(value, expected[name], rtol=2e-5, atol=2e-6, err_msg=name)


def test_the_state_fits_a_model_with_other_automatic_names_to_the_bit(
    model: Any, make_model: Callable[..., Any]
) -> None:
    optimizer = AdamW(model, section(layer_decay=0.9))
    for step in range(3):
        update(model, optimizer, step)
    state = {name: np.array(value) for name, value in optimizer.state_dict().items()}

    other = make_model("ErnieForSequenceClassification", seed=1, num_labels=3)
    assert not {p.name for p in other.parameters()} & {p.name for p in model.parameters()}
    for name, parameter in other.named_parameters():
        parameter.set_value(weights(model)[name])
    successor = AdamW(other, section(layer_decay=0.9))
    successor.load_state_dict(state)
    for step in range(3, 6):
        update(model, optimizer, step)
        update(other, successor, step)
    assert_equal(weights(other), weights(model))
    assert_equal(successor.state_dict(), optimizer.state_dict())


def test_the_state_is_named_by_structure_and_is_a_copy(model: Any) -> None:
    optimizer = AdamW(model, section())
    assert optimizer.state_dict() == {}
    update(model, optimizer, 0)
    state = optimizer.state_dict()
    moments = ("moment1", "moment2", "beta1_pow_acc", "beta2_pow_acc")
    assert set(state) == {f"{name}.{moment}" for name, _ in model.named_parameters() for moment in moments}
    before = {name: np.array(value) for name, value in state.items()}
    update(model, optimizer, 1)
    assert_equal(state, before)


@pytest.mark.parametrize("updates", [0, 2])
def test_an_earlier_state_replaces_a_later_one(model: Any, updates: int) -> None:
    """A rollback goes back to a state in the same process, also to the one before the first update."""
    optimizer = AdamW(model, section())
    for step in range(updates):
        update(model, optimizer, step)
    start, state = weights(model), optimizer.state_dict()
    results = []
    for _ in range(2):
        for name, parameter in model.named_parameters():
            parameter.set_value(start[name])
        optimizer.load_state_dict(state)
        update(model, optimizer, 7)
        update(model, optimizer, 8)
        results.append(weights(model))
    assert_equal(results[0], results[1])


def test_a_loaded_state_can_be_saved_before_the_next_update(model: Any, make_model: Callable[..., Any]) -> None:
    optimizer = AdamW(model, section())
    update(model, optimizer, 0)
    successor = AdamW(make_model("ErnieForSequenceClassification", num_labels=3), section())
    successor.load_state_dict(optimizer.state_dict())
    assert_equal(successor.state_dict(), optimizer.state_dict())


def test_frozen_parameters_stay(model: Any) -> None:
    frozen = "backbone.embeddings.word_embeddings.weight"
    dict(model.named_parameters())[frozen].stop_gradient = True
    before = weights(model)
    optimizer = AdamW(model, section())
    update(model, optimizer, 0)
    after = weights(model)
    assert {name for name in after if np.array_equal(after[name], before[name])} == {frozen}
    assert not any(name.startswith(frozen) for name in optimizer.state_dict())


def assert_equal(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
