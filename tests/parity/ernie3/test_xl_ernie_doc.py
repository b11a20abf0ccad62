"""Relative attention and its memory against PaddleNLP's ERNIE-Doc, from which the paper has the recurrence.

ERNIE-Doc's scores have a third term, of token types, and its distances a learned table: with weights of 0 for the
first, and the table's rows given to both, the two coincide.
"""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppernie.nn.transformer_xl import RelativeAttention, TransformerXLLayer, causal_mask

modeling = pytest.importorskip("paddlenlp.transformers.ernie_doc.modeling")

HIDDEN, HEADS, BATCH, LENGTH, MEMORY = 24, 3, 2, 6, 4


def drawn(layer: paddle.nn.Layer) -> paddle.nn.Layer:
    paddle.seed(9)
    for name, parameter in layer.named_parameters():
        parameter.set_value(paddle.normal(0.0, 0.0 if ".t_proj." in f".{name}" else 0.3, parameter.shape))
    layer.eval()
    return layer


def theirs() -> paddle.nn.Layer:
    size = HIDDEN // HEADS
    layer = drawn(modeling.ErnieDocEncoderLayer(HEADS, size, size, HIDDEN, 40, 0.0, 0.0, 0.0, "gelu"))
    layer.attn.r_t_bias.set_value(paddle.zeros_like(layer.attn.r_t_bias))
    return layer


def copied(attention: RelativeAttention, source: paddle.nn.Layer) -> None:
    """Sets our weights from theirs. The bias of r_proj has no counterpart: it shifts a query's scores alike."""
    for ours in ("q_proj", "out_proj"):
        getattr(attention, ours).set_state_dict(getattr(source, ours).state_dict())
    for kind in ("weight", "bias"):
        parts = [getattr(getattr(source, name), kind) for name in ("k_proj", "v_proj")]
        by_head = paddle.stack([part.reshape([-1, HEADS, HIDDEN // HEADS]) for part in parts], axis=2)
        target = getattr(attention.kv_proj, kind)
        target.set_value(by_head.reshape(target.shape))
    attention.r_proj.weight.set_value(source.r_proj.weight)
    attention.content_bias.weight.set_value(source.r_w_bias.reshape([HEADS, -1]))
    attention.position_bias.weight.set_value(source.r_r_bias.reshape([HEADS, -1]))


def layers() -> tuple[TransformerXLLayer, paddle.nn.Layer]:
    source = theirs()
    ours = TransformerXLLayer(HIDDEN, HEADS, 40, "gelu", 0.0, 0.0, 1e-5)
    copied(ours.self_attn, source.attn)
    for name, part in (("norm1", source.norm1), ("norm2", source.norm2)):
        getattr(ours, name).set_state_dict(part.state_dict())
    for name in ("linear1", "linear2"):
        getattr(ours.feed_forward, name).set_state_dict(getattr(source.ffn, name).state_dict())
    ours.eval()
    return ours, source


def rows(seen: int) -> paddle.Tensor:
    """Encodings of the distances ``seen`` down to ``1 - LENGTH``, as their learned table might hold them."""
    paddle.seed(4)
    return paddle.randn([seen + LENGTH, HIDDEN])


def close(ours: paddle.Tensor, reference: paddle.Tensor) -> None:
    np.testing.assert_allclose(ours.numpy(), reference.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("memory_length", [0, MEMORY])
@pytest.mark.parametrize("causal", [False, True])
def test_attention(memory_length: int, causal: bool) -> None:
    ours, source = (layer.self_attn if n == 0 else layer.attn for n, layer in enumerate(layers()))
    seen = paddle.randn([BATCH, memory_length + LENGTH, HIDDEN])
    memory, x = seen[:, :memory_length], seen[:, memory_length:]
    r = rows(seen.shape[1])
    mask = causal_mask(LENGTH, seen.shape[1]) if causal else paddle.zeros([1, 1, 1, seen.shape[1]])
    types = paddle.randn(seen.shape)
    expected = source(x, x, x, r.expand([BATCH, *r.shape]), types, memory if memory_length else None, mask)
    # What is before the mask's reach needs no row.
    kept = r[: seen.shape[1] + 1] if causal else r
    close(ours(x, *ours.keys_values(seen), ours.position_keys(kept), mask), expected)


def test_a_document_of_segments() -> None:
    ours, source = layers()
    x = paddle.randn([BATCH, 3 * LENGTH, HIDDEN])
    r = rows(MEMORY + LENGTH)
    encoder = modeling.ErnieDocEncoder(1, source, MEMORY)
    memories: list[paddle.Tensor | None] = [None]
    expected = []
    for segment in x.split(3, axis=1):
        keys = LENGTH + (0 if memories[0] is None else MEMORY)
        own = r[MEMORY + LENGTH - keys :].expand([BATCH, keys + LENGTH, HIDDEN])
        y, memories = encoder(segment, memories, own, paddle.zeros([BATCH, keys, HIDDEN]), causal_mask(LENGTH, keys))
        expected.append(y)
    distances = r[: MEMORY + LENGTH + 1]
    close(ours(x, causal_mask(LENGTH, MEMORY + LENGTH), distances, LENGTH), paddle.concat(expected, axis=1))
