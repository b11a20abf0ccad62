"""Layers that compute as INT8, against NumPy."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn

from ppernie.nn.layers import Linear
from ppernie.slim.quantization.layers import Int8Embedding, Int8Linear
from ppernie.slim.quantization.settings import Tables, WeightBits


def filled(layer: nn.Layer) -> nn.Layer:
    rng = np.random.default_rng(0)
    for parameter in layer.parameters():
        parameter.set_value(rng.normal(0, 0.5, parameter.shape).astype(np.float32))
    return layer


@pytest.mark.parametrize("bits", [7, 8])
def test_a_linear_layer_multiplies_whole_numbers(bits: WeightBits) -> None:
    plain = filled(Linear(6, 4))
    plain.weight.set_value(plain.weight * paddle.to_tensor([1.0, 1.0, 0.0, 1.0]))  # one output has no weights
    x = np.random.default_rng(1).normal(0, 1, (5, 6)).astype(np.float32)
    weight, largest = plain.weight.numpy(), 2 ** (bits - 1) - 1
    scale = np.abs(weight).max(0) / largest
    scale[2] = 1
    numbers = np.rint(weight / scale).astype(np.int64)
    assert np.abs(numbers[:, [0, 1, 3]]).max(0).tolist() == [largest] * 3
    entering = np.clip(np.rint(x / (1.5 / 127)), -128, 127).astype(np.int64)
    expected = (entering @ numbers) * scale * (1.5 / 127) + plain.bias.numpy()
    with paddle.no_grad():
        np.testing.assert_allclose(Int8Linear(plain, 1.5, bits)(paddle.to_tensor(x)).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("scales", ["row", "table"])
def test_a_table_is_rounded(scales: Tables) -> None:
    plain = filled(nn.Embedding(9, 4))
    table = plain.weight.numpy()
    step = np.abs(table).max(1, keepdims=True) / 127 if scales == "row" else np.abs(table).max() / 127
    ids = np.array([[0, 3], [8, 3]])
    found = Int8Embedding(plain, scales)(paddle.to_tensor(ids)).numpy()
    np.testing.assert_allclose(found, (np.rint(table / step) * step)[ids], atol=1e-6)
    assert np.abs(found - table[ids]).max() > 1e-4


def test_gradients_pass_through_inside_the_range_alone() -> None:
    plain = Linear(4, 1)
    plain.weight.set_value(np.float32([[1.27], [0.02], [0.03], [0.04]]))
    x = paddle.to_tensor([[-3.0, -0.4, 0.2, 2.0]], stop_gradient=False)
    Int8Linear(plain, 1.0, 8)(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[0.0, 0.02, 0.03, 0.0]], rtol=1e-5)


def test_a_layer_learns_the_weights_that_it_took_over() -> None:
    plain = filled(Linear(3, 2))
    layer = Int8Linear(plain, 1.0, 8)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    layer(paddle.full([1, 3], 0.5)).sum().backward()
    np.testing.assert_allclose(plain.weight.grad.numpy(), np.full((3, 2), np.rint(0.5 * 127) / 127), rtol=1e-6)
