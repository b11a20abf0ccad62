"""Products with matrices of 4, 8 and 16 bits against those with the float matrices that they stand for."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppernie.nn import kernels
from ppernie.slim.weight_only import Scheme, dequantize, products, quantize
from ppernie.slim.weight_only.products import linear, unpacked

SCHEMES = [Scheme(bits=bits, group_size=size) for bits in (4, 8) for size in (None, 32, 96)]
ROWS = (1, 3, 4, 7, 16, 17, 40)
OUTPUTS, INPUTS = 50, 192


@pytest.fixture(params=["kernel", "operations"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How products are computed."""
    paddle.set_device("cpu")
    if request.param == "operations":
        monkeypatch.setattr(kernels, "library", lambda: None)
        monkeypatch.setattr(products, "_BLOCK", 7 * INPUTS)
    elif kernels.library() is None:
        pytest.skip("the kernels are not compiled")
    return request.param


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def assert_near(found: paddle.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_a_quantized_matrix(way: str, scheme: Scheme) -> None:
    numbers, scales = quantize(drawn(OUTPUTS, INPUTS) * 0.02, scheme)
    weight, scale = paddle.to_tensor(numbers), paddle.to_tensor(scales)
    matrix = dequantize(numbers, scales, scheme)
    for rows in ROWS:
        x = drawn(rows, INPUTS, seed=rows)
        assert_near(linear(paddle.to_tensor(x), weight, scale, scheme), x @ matrix.T)
    x = drawn(2, 3, INPUTS, seed=1)
    assert_near(linear(paddle.to_tensor(x), weight, scale, scheme), x @ matrix.T)


def test_a_matrix_of_half_precision(way: str) -> None:
    matrix = (drawn(OUTPUTS, INPUTS) * 0.02).astype(np.float16)
    matrix[3] = np.float16(6e-8) * np.arange(INPUTS)  # subnormal numbers
    matrix[4] = 0
    for rows in ROWS:
        x = drawn(rows, INPUTS, seed=rows)
        found = linear(paddle.to_tensor(x), paddle.to_tensor(matrix))
        assert_near(found, x @ matrix.astype(np.float32).T)
        assert_near(found[:, 3], x @ matrix[3].astype(np.float32))


def test_every_number_of_both_sizes(way: str) -> None:
    for bits, smallest in ((4, -8), (8, -128)):
        values = np.arange(smallest, -smallest, dtype=np.int8)
        numbers = np.resize(values, (64, 256)).copy()
        numbers[1:] = np.random.default_rng(0).permuted(numbers[1:], axis=1)
        weight = (numbers[:, ::2] << 4) | (numbers[:, 1::2] & 15) if bits == 4 else numbers
        scale = np.ones(64, np.float16)
        eye = paddle.eye(256)
        found = linear(eye, paddle.to_tensor(weight), paddle.to_tensor(scale), Scheme(bits=bits))
        assert np.array_equal(found.numpy().T, numbers)
        found = linear(eye[:9], paddle.to_tensor(weight), paddle.to_tensor(scale), Scheme(bits=bits))
        assert np.array_equal(found.numpy().T, numbers[:, :9])


@pytest.mark.parametrize("scheme", [*SCHEMES, Scheme(bits=4, group_size=2), Scheme(bits=8, group_size=6)], ids=repr)
def test_operations_unpack_as_numpy_does(scheme: Scheme) -> None:
    numbers, scales = quantize(drawn(9, INPUTS), scheme)
    found = unpacked(paddle.to_tensor(numbers), paddle.to_tensor(scales), scheme)
    assert np.array_equal(found.numpy(), dequantize(numbers, scales, scheme))


def test_small_groups_are_left_to_the_operations() -> None:
    scheme = Scheme(bits=4, group_size=8)
    numbers, scales = quantize(drawn(OUTPUTS, INPUTS), scheme)
    x = drawn(3, INPUTS, seed=1)
    found = linear(paddle.to_tensor(x), paddle.to_tensor(numbers), paddle.to_tensor(scales), scheme)
    assert_near(found, x @ dequantize(numbers, scales, scheme).T)


def test_the_gradient_by_the_rows() -> None:
    scheme = Scheme(bits=8)
    numbers, scales = quantize(drawn(OUTPUTS, INPUTS), scheme)
    x = paddle.to_tensor(drawn(5, INPUTS, seed=1), stop_gradient=False)
    upstream = drawn(5, OUTPUTS, seed=2)
    y = linear(x, paddle.to_tensor(numbers), paddle.to_tensor(scales), scheme)
    (gradient,) = paddle.grad(y, x, paddle.to_tensor(upstream))
    assert_near(gradient, upstream @ dequantize(numbers, scales, scheme))
