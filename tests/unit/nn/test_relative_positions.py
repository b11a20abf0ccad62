"""Buckets of distances, and the gradient of a learned attention bias."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppernie.nn import RelativePositions, functional, kernels
from ppernie.nn.relative_positions import buckets

LENGTH = 512


def bucket_of(distance: int) -> int:
    """The bucket of a distance to a later token, by whole powers: 16 ** (k / 8) <= n / 8."""
    if distance < 8:
        return distance
    return max(8 + k for k in range(8) if 8**8 * 16**k <= distance**8)


def rows(*positions: int) -> np.ndarray:
    return buckets(paddle.to_tensor([positions])).numpy()[0]


def test_the_row_of_a_query_in_the_middle() -> None:
    assert rows(*range(12))[5].tolist() == [32, 20, 19, 18, 17, 0, 1, 2, 3, 4, 5, 6]


def test_the_first_token_stands_outside_the_order() -> None:
    table = rows(*range(LENGTH))
    assert (table[0] == 16).all()
    assert (table[1:, 0] == 32).all()
    assert set(table[1:, 1:].flat) == {*range(16), *range(17, 32)}


def test_buckets_of_all_distances() -> None:
    table = rows(*range(LENGTH))
    forward = [bucket_of(n) for n in range(LENGTH - 1)]
    assert table[1, 1:].tolist() == forward
    assert table[-1, :0:-1].tolist() == [0, *(16 + bucket for bucket in forward[1:])]
    assert (np.diag(table)[1:] == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_buckets_are_those_of_the_logarithm(dtype: type) -> None:
    distances = np.arange(8, LENGTH - 1)
    logarithms = 8 + np.floor(8 * np.log(distances.astype(dtype) / dtype(8)) / np.log(dtype(16)))
    assert rows(*range(LENGTH))[1, 9:].tolist() == np.minimum(logarithms, 15).tolist()


def test_given_positions_decide_the_distance() -> None:
    assert rows(0, 1, 40, 3).tolist() == [[16, 16, 16, 16], [32, 0, 12, 2], [32, 28, 0, 28], [32, 18, 12, 0]]


def test_every_head_has_its_own_biases() -> None:
    layer = RelativePositions(num_heads=2)
    layer.weight.set_value(np.arange(66, dtype=np.float32).reshape(33, 2))
    biases = layer(paddle.arange(12).unsqueeze(0))
    assert biases.shape == [1, 2, 12, 12]
    assert (biases.numpy()[0] == np.stack([2 * rows(*range(12)), 2 * rows(*range(12)) + 1])).all()


def attention_and_bias_gradient(
    qkv: np.ndarray, bias: np.ndarray, upstream: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Output of attention, and the gradient of ``sum(output * upstream)`` in the bias, [1, heads, length, length]."""
    query, key, value = qkv.transpose(3, 0, 2, 1, 4)
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1]) + bias
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    context = (weights @ value).transpose(0, 2, 1, 3)
    upstream = upstream.reshape(context.shape).transpose(0, 2, 1, 3)
    dweights = upstream @ value.swapaxes(-1, -2)
    dscores = weights * (dweights - (dweights * weights).sum(-1, keepdims=True))
    return context.reshape(*context.shape[:2], -1), dscores.sum(0, keepdims=True)


@pytest.mark.parametrize("fixed", [True, False])
def test_attention_with_a_bias_per_pair_of_tokens(fixed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    batch, length, heads, size = 3, 7, 2, 4
    qkv, bias, upstream = (
        random.normal(size=shape)
        for shape in ([batch, length, heads, 3, size], [1, heads, length, length], [batch, length, heads * size])
    )
    context, gradient = attention_and_bias_gradient(qkv, bias, upstream)

    fused = []
    kernel = functional.autograd.SelfAttention.apply
    monkeypatch.setattr(functional.autograd.SelfAttention, "apply", lambda *args: fused.append(1) or kernel(*args))
    x = paddle.to_tensor(qkv.astype(np.float32), stop_gradient=False)
    learned = paddle.to_tensor(bias.astype(np.float32), stop_gradient=fixed)
    output = functional.self_attention(x, learned, 0.0, training=True)
    (output * paddle.to_tensor(upstream.astype(np.float32))).sum().backward()

    np.testing.assert_allclose(output.numpy(), context, rtol=0, atol=1e-5)
    assert len(fused) == (fixed and kernels.library() is not None)
    if not fixed:
        np.testing.assert_allclose(learned.grad.numpy(), gradient, rtol=0, atol=1e-5)
