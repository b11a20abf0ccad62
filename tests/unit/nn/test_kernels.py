"""The C kernels against Paddle's own operations: values, gradients, and when each is used."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F

from ppernie.nn import functional, kernels

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="the kernels are not compiled")


def leaf(*shape: int, scale: float = 1.0) -> paddle.Tensor:
    x = paddle.randn(shape) * scale
    x.stop_gradient = False
    return x


def assert_same(ours: paddle.Tensor, plain: paddle.Tensor, inputs: list[paddle.Tensor]) -> None:
    upstream = paddle.randn(plain.shape)
    pairs = [(ours, plain)]
    pairs += zip(paddle.grad(ours, inputs, upstream), paddle.grad(plain, inputs, upstream), strict=True)
    for own, expected in pairs:
        expected = expected.numpy()
        np.testing.assert_allclose(own.numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.fixture(autouse=True)
def _seed() -> None:
    paddle.seed(5)


@pytest.mark.parametrize("shape", [(5, 7), (3, 17, 24), (4, 128, 96)])
def test_linear(shape: tuple[int, ...]) -> None:
    x, weight, bias = leaf(*shape), leaf(shape[-1], 33), leaf(33)
    assert_same(functional.linear(x, weight, bias), F.linear(x, weight, bias), [x, weight, bias])


@pytest.mark.parametrize("scale", [0.01, 1.0, 6.0])
def test_gelu(scale: float) -> None:
    x = leaf(4, 128, 97, scale=scale)
    assert_same(functional.gelu(x), F.gelu(x), [x])


def test_gelu_of_extremes() -> None:
    values = paddle.to_tensor([float("nan"), float("inf"), 200.0, -200.0, 0.0], stop_gradient=False)
    y = functional.gelu(values)
    assert np.isnan(y.numpy()[0])
    assert y.numpy()[1:].tolist() == [float("inf"), 200.0, 0.0, 0.0]
    (gradient,) = paddle.grad(y[2:].sum(), values)
    np.testing.assert_allclose(gradient.numpy()[2:], [1.0, 0.0, 0.5], rtol=1e-6)


@pytest.mark.parametrize("epsilon", [1e-12, 1e-5])
@pytest.mark.parametrize("shape", [(3, 5), (4, 128, 312)])
def test_layer_norm(shape: tuple[int, ...], epsilon: float) -> None:
    x, weight, bias = leaf(*shape, scale=3.0), leaf(shape[-1]), leaf(shape[-1])
    ours = functional.layer_norm(x, weight, bias, epsilon)
    assert_same(ours, F.layer_norm(x, shape[-1], weight, bias, epsilon), [x, weight, bias])


@pytest.mark.parametrize("epsilon", [1e-12, 1e-5])
def test_residual_norm(epsilon: float) -> None:
    x, residual, weight, bias = leaf(4, 100, 48), leaf(4, 100, 48), leaf(48), leaf(48)
    ours = functional.residual_norm(x, residual, weight, bias, epsilon, 0.5, training=False)
    assert_same(ours, F.layer_norm(x + residual, 48, weight, bias, epsilon), [x, residual, weight, bias])


def plain_attention(qkv: paddle.Tensor, mask: paddle.Tensor | None) -> paddle.Tensor:
    query, key, value = qkv.transpose([3, 0, 2, 1, 4]).unbind(0)
    return functional.attention(query, key, value, mask, 0.0, False).transpose([0, 2, 1, 3]).flatten(2)


@pytest.mark.parametrize("mask_shape", [None, (3, 1, 1, 37), (1, 1, 37, 37), (3, 4, 37, 37), (1, 4, 1, 37)])
def test_self_attention(mask_shape: tuple[int, ...] | None) -> None:
    qkv = leaf(3, 37, 4, 3, 10)
    mask = None if mask_shape is None else (paddle.rand(mask_shape) < 0.3).astype("float32") * -10000.0
    assert_same(functional.self_attention(qkv, mask, 0.0, True), plain_attention(qkv, mask), [qkv])


def test_the_gpu_path_computes_the_same() -> None:
    qkv = leaf(3, 37, 4, 3, 10)
    mask = (paddle.rand([3, 1, 1, 37]) < 0.3).astype("float32") * -10000.0
    for given in (mask, None):
        assert_same(functional._flash_attention(qkv, given, 0.0, True), plain_attention(qkv, given), [qkv])


def test_masked_keys_get_exactly_nothing() -> None:
    qkv = leaf(1, 8, 2, 3, 4)
    mask = paddle.to_tensor([[[[0.0] * 5 + [-10000.0] * 3]]])
    context = functional.self_attention(qkv, mask, 0.0, True)
    (gradient,) = paddle.grad(context.sum(), qkv)
    assert not gradient[:, 5:, :, 1:].numpy().any()


def test_a_mask_with_gradient_gets_one() -> None:
    qkv, mask = leaf(2, 9, 2, 3, 4), leaf(1, 2, 9, 9)
    assert_same(functional.self_attention(qkv, mask, 0.0, True), plain_attention(qkv, mask), [qkv, mask])


@pytest.mark.parametrize("frozen", range(4))
def test_frozen_inputs_get_no_gradient(frozen: int) -> None:
    inputs = [leaf(4, 6), leaf(4, 6), leaf(6), leaf(6)]
    inputs[frozen].stop_gradient = True
    functional.residual_norm(*inputs, 1e-5, 0.1, training=True).sum().backward()
    assert [x.grad is None for x in inputs] == [index == frozen for index in range(4)]

    inputs = [leaf(4, 6), leaf(6, 5), leaf(5)]
    inputs[frozen % 3].stop_gradient = True
    functional.linear(*inputs).sum().backward()
    assert [x.grad is None for x in inputs] == [index == frozen % 3 for index in range(3)]


def test_inputs_that_are_not_contiguous() -> None:
    x, weight, bias = leaf(6, 40), leaf(6), leaf(6)
    ours = functional.layer_norm(x.T, weight, bias, 1e-5)
    assert_same(ours, F.layer_norm(x.T, 6, weight, bias, 1e-5), [x, weight, bias])
    assert_same(functional.gelu(x).T, F.gelu(x).T, [x])


def test_other_types_and_modes_go_the_plain_way() -> None:
    x = leaf(4, 6)
    assert kernels.usable(x)
    assert "PyLayer" in functional.gelu(x).grad_fn.name()
    assert not kernels.usable(x.astype("float64"))
    assert not kernels.usable(x.astype("bfloat16"))
    assert not kernels.usable(x.T)
    with paddle.no_grad():
        assert functional.gelu(x).numpy() == pytest.approx(F.gelu(x).numpy(), abs=0)
    paddle.enable_static()
    try:
        assert not kernels.usable(x)
    finally:
        paddle.disable_static()
