"""Relative attention and its memory against loops over single pairs of tokens."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import paddle
import pytest

from ppernie.nn.masks import MASKED
from ppernie.nn.transformer_xl import (
    RelativeAttention,
    TransformerXL,
    TransformerXLLayer,
    causal_mask,
    relative_shift,
    sinusoids,
)

HIDDEN, HEADS = 12, 3
LAYER = {"num_heads": HEADS, "intermediate_size": 20, "activation": "gelu"}
LAYER |= {"dropout": 0.0, "attention_dropout": 0.0, "epsilon": 1e-5}


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    paddle.seed(3)
    paddle.set_default_dtype("float64")
    yield
    paddle.set_default_dtype("float32")


def drawn(layer: paddle.nn.Layer) -> paddle.nn.Layer:
    for parameter in layer.parameters():
        parameter.set_value(paddle.normal(0.0, 0.4, parameter.shape))
    return layer


def close(ours: paddle.Tensor, reference: paddle.Tensor | np.ndarray) -> None:
    np.testing.assert_allclose(ours.numpy(), np.asarray(reference), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("queries", "keys", "last"), [(4, 4, -3), (4, 9, -3), (1, 6, 0), (4, 9, 0), (5, 5, -2)])
def test_the_shift_finds_the_score_of_every_distance(queries: int, keys: int, last: int) -> None:
    scores = paddle.randn([2, 3, queries, keys - last + 1])
    shifted = relative_shift(scores, keys).numpy()
    assert shifted.shape == (2, 3, queries, keys)
    for query in range(queries):
        for key in range(keys):
            distance = keys - queries + query - key
            if distance >= last:
                np.testing.assert_array_equal(shifted[:, :, query, key], scores[:, :, query, keys - distance].numpy())


def test_sinusoids_and_causal_mask() -> None:
    encodings = sinusoids(5, -3, 6).numpy()
    assert encodings.shape == (9, 6)
    for row, distance in enumerate(range(5, -4, -1)):
        for n in range(3):
            angle = distance / 10000 ** (2 * n / 6)
            assert encodings[row, n] == pytest.approx(np.sin(angle), abs=1e-12)
            assert encodings[row, 3 + n] == pytest.approx(np.cos(angle), abs=1e-12)
    mask = causal_mask(3, 7).numpy()
    assert mask.shape == (1, 1, 3, 7)
    for query in range(3):
        assert [key for key in range(7) if mask[0, 0, query, key] == 0] == list(range(5 + query))
    assert set(mask.flat) == {0, MASKED}


def heads(x: paddle.Tensor, parts: int = 1) -> np.ndarray:
    return x.numpy().reshape(*x.shape[:-1], HEADS, parts, HIDDEN // HEADS)


@pytest.mark.parametrize(("queries", "keys", "causal"), [(4, 4, False), (4, 7, False), (4, 7, True), (1, 5, True)])
def test_attention_pair_by_pair(queries: int, keys: int, causal: bool) -> None:
    attention = drawn(RelativeAttention(HIDDEN, HEADS, 0.0))
    seen = paddle.randn([2, keys, HIDDEN])
    mask = causal_mask(queries, keys) if causal else paddle.where(paddle.rand([2, 1, 1, keys]) < 0.3, MASKED, 0.0)
    last = 0 if causal else 1 - queries
    r = attention.position_keys(sinusoids(keys, last, HIDDEN))
    ours = attention(seen[:, -queries:], *attention.keys_values(seen), r, mask)

    q, kv = heads(attention.q_proj(seen))[..., 0, :], heads(attention.kv_proj(seen), 2)
    u, w = attention.content_bias.weight.numpy(), attention.position_bias.weight.numpy()
    hidden = np.broadcast_to(mask.numpy(), [2, 1, queries, keys]) != 0
    context = np.zeros([2, queries, HEADS, HIDDEN // HEADS])
    for batch, query, head in np.ndindex(2, queries, HEADS):
        at = keys - queries + query
        scores = {}
        for key in range(keys):
            if not hidden[batch, 0, query, key]:
                encoding = heads(attention.r_proj(sinusoids(at - key, at - key, HIDDEN)))[0, head, 0]
                own = q[batch, at, head]
                scores[key] = (own + u[head]) @ kv[batch, key, head, 0] + (own + w[head]) @ encoding
        weights = np.exp(np.array(list(scores.values())) / np.sqrt(HIDDEN // HEADS))
        values = np.stack([kv[batch, key, head, 1] for key in scores])
        context[batch, query, head] = (weights / weights.sum()) @ values
    close(ours, attention.out_proj(paddle.to_tensor(context.reshape(2, queries, HIDDEN))))


def test_masked_memory_is_as_none() -> None:
    attention = drawn(RelativeAttention(HIDDEN, HEADS, 0.0))
    x, memory = paddle.randn([2, 5, HIDDEN]), paddle.randn([2, 4, HIDDEN])

    def outputs(seen: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
        r = attention.position_keys(sinusoids(seen.shape[1], -4, HIDDEN))
        return attention(x, *attention.keys_values(seen), r, mask)

    hidden = paddle.concat([paddle.full([1, 1, 1, 4], MASKED), paddle.zeros([1, 1, 1, 5])], axis=-1)
    close(outputs(paddle.concat([memory, x], axis=1), hidden), outputs(x, paddle.zeros([1, 1, 1, 5])))


@pytest.mark.parametrize("segment_length", [1, 2, 3, 6])
def test_attention_segment_by_segment_is_attention_over_the_whole(segment_length: int) -> None:
    attention = drawn(RelativeAttention(HIDDEN, HEADS, 0.0))
    x = paddle.randn([2, 6, HIDDEN])

    def outputs(start: int, stop: int) -> paddle.Tensor:
        r = attention.position_keys(sinusoids(stop, 0, HIDDEN))
        return attention(x[:, start:stop], *attention.keys_values(x[:, :stop]), r, causal_mask(stop - start, stop))

    parts = [outputs(start, start + segment_length) for start in range(0, 6, segment_length)]
    close(paddle.concat(parts, axis=1), outputs(0, 6))


def by_hand(layer: TransformerXLLayer, x: paddle.Tensor, segment_length: int, memory_length: int) -> paddle.Tensor:
    """The recurrence as it is written: m' = SG(last M of [m; h]), keys and values from [m; x]."""
    memory, outputs = x[:, :0], []
    for start in range(0, x.shape[1], segment_length):
        segment = x[:, start : start + segment_length]
        seen = paddle.concat([memory, segment], axis=1) if memory.shape[1] else segment
        r = layer.self_attn.position_keys(sinusoids(seen.shape[1], 0, HIDDEN))
        mask = causal_mask(segment.shape[1], seen.shape[1])
        y = layer.norm1(layer.self_attn(segment, *layer.self_attn.keys_values(seen), r, mask), segment)
        y = layer.norm2(layer.feed_forward(y), y)
        outputs.append(y)
        past = paddle.concat([memory, y], axis=1) if memory.shape[1] else y
        memory = past[:, past.shape[1] - min(memory_length, past.shape[1]) :].detach()
    return paddle.concat(outputs, axis=1)


@pytest.mark.parametrize("memory_length", [0, 2, 3, 5, 20])
@pytest.mark.parametrize("length", [3, 9, 11])
def test_a_layer_works_through_the_segments(memory_length: int, length: int) -> None:
    layer = drawn(TransformerXLLayer(HIDDEN, **LAYER))
    x = paddle.randn([2, length, HIDDEN])
    x.stop_gradient = False
    upstream = paddle.randn(x.shape)
    found = []
    for y in (
        layer(x, causal_mask(3, memory_length + 3), sinusoids(memory_length + 3, 0, HIDDEN), 3),
        by_hand(layer, x, 3, memory_length),
    ):
        (y * upstream).sum().backward()
        found.append([y.detach(), x.grad.clone(), *(p.grad.clone() for p in layer.parameters())])
        x.clear_grad()
        for parameter in layer.parameters():
            parameter.clear_grad()
    for ours, reference in zip(*found, strict=True):
        close(ours, reference)


def test_no_gradient_goes_back_through_the_memory() -> None:
    layer = drawn(TransformerXLLayer(HIDDEN, **LAYER))
    x = paddle.randn([2, 9, HIDDEN])
    x.stop_gradient = False
    layer(x, causal_mask(3, 7), sinusoids(7, 0, HIDDEN), 3)[:, 3:6].sum().backward()
    reached = (x.grad.abs().sum([0, 2]) > 0).tolist()
    assert reached == [False] * 3 + [True] * 3 + [False] * 3


@pytest.mark.parametrize("memory_length", [0, 2, 9])
def test_token_by_token_is_all_at_once(memory_length: int) -> None:
    stack = drawn(TransformerXL(3, HIDDEN, **LAYER))
    x = paddle.randn([2, 11, HIDDEN])
    whole = stack(x, causal_mask(4, memory_length + 4), 4)
    contexts, read = stack.start(4, memory_length), 0
    for count in (1, 3, 2, 2, 4 - 1):
        if read and read % 4 == 0:
            contexts = stack.next_segment(contexts, memory_length)
        y, contexts = stack.extend(x[:, read : read + count], contexts)
        close(y, whole[:, read : read + count])
        read += count


def test_context_grows_beyond_the_memory() -> None:
    """A layer's memory holds its own outputs, so one layer hears of all segments before; without, of none."""
    layer = drawn(TransformerXLLayer(HIDDEN, **LAYER))
    x = paddle.randn([1, 12, HIDDEN])
    other = x.clone()
    other[:, 0] = paddle.randn([1, HIDDEN])

    def change(memory_length: int) -> np.ndarray:
        arguments = causal_mask(3, memory_length + 3), sinusoids(memory_length + 3, 0, HIDDEN), 3
        return (layer(x, *arguments) - layer(other, *arguments)).abs().sum(-1).numpy()[0] > 0

    assert change(1).tolist() == [True] * 12
    assert change(0).tolist() == [True] * 3 + [False] * 9
