"""Dropout, with the kernels and without: its distribution, its gradient, and what paddle.seed governs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import pytest

from ppernie.nn import functional, kernels

SIZE = 1_000_000


@pytest.fixture(params=["kernels", "plain"], autouse=True)
def _path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "plain":
        monkeypatch.setattr(kernels, "library", lambda: None)
    elif kernels.library() is None:
        pytest.skip("the kernels are not compiled")
    paddle.seed(11)


def ones(*shape: int) -> paddle.Tensor:
    return paddle.to_tensor(np.ones(shape, "float32"), stop_gradient=False)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_elements_are_dropped_alone_and_with_the_right_probability(p: float) -> None:
    y = functional.dropout(ones(SIZE), p, training=True).numpy()
    kept = y != 0
    np.testing.assert_allclose(y[kept], 1 / (1 - p), rtol=1e-6)
    deviation = np.sqrt(p * (1 - p) / SIZE)
    assert abs(kept.mean() - (1 - p)) < 5 * deviation
    centred = (kept - kept.mean()) / kept.std()
    for lag in (1, 2, 16, 768, 4096):
        assert abs((centred[lag:] * centred[:-lag]).mean()) < 5 / np.sqrt(SIZE - lag)


def test_calls_draw_independent_masks() -> None:
    first, second = (functional.dropout(ones(SIZE), 0.5, training=True).numpy() != 0 for _ in range(2))
    assert abs((first == second).mean() - 0.5) < 5 * 0.5 / np.sqrt(SIZE)


def test_the_gradient_has_the_mask_of_the_output() -> None:
    x = ones(1000)
    y = functional.dropout(x, 0.3, training=True)
    (gradient,) = paddle.grad(y.sum(), x)
    np.testing.assert_array_equal(gradient.numpy(), y.numpy())


def test_evaluation_and_zero_probability_change_nothing() -> None:
    x = ones(10)
    assert functional.dropout(x, 0.5, training=False) is x
    assert functional.dropout(x, 0.0, training=True) is x


def residual_norm() -> paddle.Tensor:
    x, residual = paddle.linspace(-1, 1, 60).reshape([10, 6]), paddle.ones([10, 6])
    return functional.residual_norm(x, residual, paddle.ones([6]), paddle.zeros([6]), 1e-5, 0.5, training=True)


def self_attention() -> paddle.Tensor:
    return functional.self_attention(paddle.linspace(-1, 1, 240).reshape([2, 5, 2, 3, 4]), None, 0.5, True)


@pytest.mark.parametrize("operation", [residual_norm, self_attention, lambda: functional.dropout(ones(50), 0.5, True)])
def test_paddle_seed_repeats_the_masks(operation: Callable[[], paddle.Tensor]) -> None:
    first, other = operation().numpy(), operation().numpy()
    paddle.seed(11)
    np.testing.assert_array_equal(operation().numpy(), first)
    assert not np.array_equal(first, other)


def test_residual_norm_drops_the_sublayer_and_not_the_residual() -> None:
    # With x = 1 and residual = 0, the kept elements of a row lie above its mean and the dropped ones below.
    x, residual = ones(20_000, 8), paddle.zeros([20_000, 8])
    y = functional.residual_norm(x, residual, paddle.ones([8]), paddle.zeros([8]), 1e-5, 0.25, training=True)
    kept = (y > 0).astype("float32").numpy()
    assert abs(kept[kept.any(1)].mean() - 0.75) < 0.03
    y = functional.residual_norm(residual, x, paddle.ones([8]), paddle.zeros([8]), 1e-5, 0.25, training=True)
    assert not y.numpy().any()


def test_residual_norm_gradients_are_those_of_its_own_mask() -> None:
    x, residual, weight, bias = (paddle.randn(shape) for shape in ([6, 16], [6, 16], [16], [16]))
    x.stop_gradient = residual.stop_gradient = False
    upstream = paddle.randn([6, 16])
    y = functional.residual_norm(x, residual, weight, bias, 1e-5, 0.5, training=True)
    dx, dresidual = paddle.grad(y, [x, residual], upstream)
    mask = paddle.where(dx != 0, paddle.full_like(dx, 2.0), paddle.zeros_like(dx))
    expected = functional.layer_norm(residual + x * mask, weight, bias, 1e-5)
    np.testing.assert_allclose(y.numpy(), expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(dx.numpy(), (dresidual * mask).numpy(), atol=1e-6)


@pytest.mark.parametrize("operation", [residual_norm, self_attention])
def test_masks_do_not_depend_on_gradients_being_wanted(operation: Callable[[], paddle.Tensor]) -> None:
    paddle.seed(2)
    expected = operation().numpy()
    paddle.seed(2)
    with paddle.no_grad():
        np.testing.assert_allclose(operation().numpy(), expected, atol=1e-5)


def test_attention_weights_are_dropped_and_differentiated_with_one_mask() -> None:
    """Values that are unit vectors show the weights; numeric differences check the gradient under that mask."""
    length = 6
    qkv = paddle.randn([1, length, 1, 3, length])
    qkv[:, :, :, 2] = paddle.eye(length).unsqueeze([0, 2])
    qkv.stop_gradient = False

    def context(values: paddle.Tensor) -> paddle.Tensor:
        paddle.seed(3)
        return functional.self_attention(values, None, 0.4, True)

    dropped = (context(qkv) == 0).numpy().mean()
    assert 0.1 < dropped < 0.7
    upstream, direction = paddle.randn([1, length, length]), paddle.randn(qkv.shape)
    (gradient,) = paddle.grad(context(qkv), qkv, upstream)
    step = 1e-2
    change = ((context(qkv + step * direction) - context(qkv - step * direction)) * upstream).sum() / (2 * step)
    np.testing.assert_allclose(float((gradient * direction).sum()), float(change), rtol=5e-3, atol=5e-3)
