"""When Paddle's own weight-only products are used, and what they are given; a stand-in takes the place of a GPU."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn

from ppernie.slim.weight_only import Scheme, dequantize, gpu, quantize
from ppernie.slim.weight_only.layers import WeightOnlyLinear

OUTPUTS, INPUTS = 24, 64


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says that the current device is a GPU of a compute capability."""

    def pretend(major: int, minor: int) -> None:
        monkeypatch.setattr(paddle, "is_compiled_with_cuda", lambda: True)
        monkeypatch.setattr(paddle, "get_device", lambda: "gpu:0")
        monkeypatch.setattr(paddle.device.cuda, "get_device_capability", lambda: (major, minor))

    return pretend


class Products:
    """``paddle.nn.quant`` by its documentation: a matrix [in, out] is quantised by output, in an order of its own."""

    def weight_quantize(self, matrix: paddle.Tensor, algo: str, group_size: int) -> tuple[paddle.Tensor, paddle.Tensor]:
        assert matrix.dtype == paddle.float16 and matrix.shape == [INPUTS, OUTPUTS]
        scheme = Scheme(
            bits=int(algo.removeprefix("weight_only_int")), group_size=None if group_size < 0 else group_size
        )
        numbers, scale = quantize(matrix.numpy().T, scheme)
        return paddle.to_tensor(numbers[:, ::-1].copy()), paddle.to_tensor(scale.astype(np.float32))

    def weight_only_linear(
        self, x: paddle.Tensor, weight: paddle.Tensor, bias: Any, scale: paddle.Tensor, dtype: str, group_size: int
    ) -> paddle.Tensor:
        assert x.dtype == scale.dtype == paddle.float16
        scheme = self._scheme(dtype.removeprefix("int"), group_size)
        matrix = dequantize(weight.numpy()[:, ::-1], scale.numpy(), scheme)
        y = x.numpy().astype(np.float32) @ matrix.T + (0 if bias is None else bias.numpy().astype(np.float32))
        return paddle.to_tensor(y.astype(np.float16))

    def _scheme(self, bits: str, group_size: int) -> Scheme:
        return Scheme.model_validate({"bits": int(bits), "group_size": None if group_size < 0 else group_size})


def test_a_cpu_has_none_of_them() -> None:
    paddle.set_device("cpu")
    assert not gpu.usable(Scheme(bits=8))


@pytest.mark.parametrize(
    ("capability", "group", "reason"),
    [
        ((8, 0), None, None),
        ((7, 0), 64, None),
        ((9, 0), 128, None),
        ((6, 1), None, "this GPU has compute capability 6.1"),
        ((8, 0), 32, "groups of 32; they take 64, 128 or whole rows"),
    ],
)
def test_which_gpus_and_groups_have_them(
    on_a_gpu: Any, capability: tuple[int, int], group: int | None, reason: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    on_a_gpu(*capability)
    with caplog.at_level(logging.WARNING, logger="ppernie"):
        assert gpu.usable(Scheme(bits=4, group_size=group)) == (reason is None)
    assert [reason in message for message in caplog.messages] == ([True] if reason else [])


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("scheme", [Scheme(bits=8), Scheme(bits=4), Scheme(bits=8, group_size=64)], ids=repr)
def test_a_layer_gives_the_same_with_them(
    on_a_gpu: Any, monkeypatch: pytest.MonkeyPatch, scheme: Scheme, biased: bool
) -> None:
    paddle.set_device("cpu")
    rng = np.random.default_rng(0)
    numbers, scale = quantize((rng.standard_normal((OUTPUTS, INPUTS)) / 8).astype(np.float32), scheme)
    plain = nn.Linear(INPUTS, OUTPUTS, bias_attr=None if biased else False)
    if biased:
        plain.bias.set_value(rng.standard_normal(OUTPUTS).astype(np.float32))
    x = paddle.to_tensor(rng.standard_normal((3, INPUTS)).astype(np.float32))
    layers = [WeightOnlyLinear(plain, scheme) for _ in range(2)]
    for layer in layers:
        layer.weight, layer.weight_scale = paddle.to_tensor(numbers), paddle.to_tensor(scale)
    with paddle.no_grad():
        expected = layers[0](x)
    on_a_gpu(8, 0)
    monkeypatch.setattr(gpu, "_quant", Products())
    layers[1].arrange()
    found = layers[1](x)
    assert not np.array_equal(layers[1].weight.numpy(), numbers)
    assert found.dtype == paddle.float32
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=5e-3)
