"""Attention in half precision: the shrunk scores change nothing where nothing overflows, and keep finite what would.

Paddle multiplies no half-precision matrices on the CPU; here they are multiplied in float32 and rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from model_zoo.glm.modeling import GlmAttention
from ppernie.nn.masks import MASKED, interval_mask


@pytest.mark.parametrize("name", ["glm", "chatglm", "glm-130b"])
@pytest.mark.parametrize("number", [0, 5, 69])
def test_equals_the_plain_way(
    name: str, number: int, network: Callable[..., SimpleNamespace], parity: SimpleNamespace
) -> None:
    small = network(name)
    attention = GlmAttention(small.config, number)
    attention.eval()
    rng = np.random.default_rng(number)
    x = paddle.to_tensor(rng.normal(size=(2, 9, small.config.hidden_size)).astype(np.float32))
    positions = paddle.to_tensor(rng.integers(0, 40, (2, small.config.position_rows, 9)))
    rotation = None if small.model.rotary is None else small.model.rotary(positions)
    visible = paddle.to_tensor(
        np.stack([np.zeros((2, 9), np.int64), np.full((2, 9), 4), np.zeros((2, 9), np.int64)], 1)
    )
    mask = interval_mask(visible)
    query, key, value = attention._projected(x, rotation).transpose([3, 0, 2, 1, 4]).unbind(0)
    half = attention._output(attention._half_attention(query, key, value, mask))
    parity.assert_close({"output": half.numpy()}, {"output": attention(x, mask, rotation).numpy()}, 1e-6)


@pytest.fixture
def half_products(monkeypatch: pytest.MonkeyPatch) -> None:
    matmul = paddle.matmul

    def rounded(x: paddle.Tensor, y: paddle.Tensor, **options: bool) -> paddle.Tensor:
        return matmul(x.astype("float32"), y.astype("float32"), **options).astype(x.dtype)

    monkeypatch.setattr(paddle, "matmul", rounded)


@pytest.mark.usefixtures("half_products")
def test_large_scores_stay_finite(network: Callable[..., SimpleNamespace]) -> None:
    attention = GlmAttention(network("glm-130b").config, 2)
    attention.eval()
    query = paddle.full([1, 3, 4, 8], 200.0, "float16")
    falling = paddle.to_tensor(np.linspace(1, 0.7, 4, dtype=np.float32).reshape([1, 1, 4, 1]))
    key = (query.astype("float32") * falling).astype("float16")
    value = paddle.to_tensor(np.random.default_rng(0).normal(size=(1, 3, 4, 8)).astype(np.float16))
    assert paddle.isinf(paddle.matmul(query * (1 / 8**0.5), key, transpose_y=True)).any()

    # So far apart, the largest score that is seen takes all.
    assert np.array_equal(first_row(attention._half_attention(query, key, value, None)), value.numpy()[:, :, 0])
    mask = paddle.to_tensor([MASKED, 0.0, 0.0, 0.0]).reshape([1, 1, 1, 4])
    assert np.array_equal(first_row(attention._half_attention(query, key, value, mask)), value.numpy()[:, :, 1])


def first_row(context: paddle.Tensor) -> np.ndarray:
    assert context.dtype == paddle.float16
    return context.numpy()[:, :, 0]
