"""Transformer-XL: attention by relative positions, and a memory of earlier segments (Dai et al. 2019).

The recurrence is ERNIE-Doc's (Ding et al. 2021, arXiv:2012.15688): a layer remembers its own outputs, not its inputs.
So what a layer makes of a segment depends on its own past alone, and it can work through all segments of a document
before the next layer begins: the memory never leaves the layer, nor a call.
"""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import nn

from ppernie.nn import functional
from ppernie.nn.feed_forward import FeedForward
from ppernie.nn.layers import Linear, ResidualNorm
from ppernie.nn.masks import MASKED


def sinusoids(first: int, last: int, size: int) -> paddle.Tensor:
    """Encodings of the distances ``first`` down to ``last`` (query's position minus key's), [first - last + 1, size].

    The sines of all frequencies, then the cosines; ``size`` is even.
    """
    dtype = paddle.get_default_dtype()
    frequencies = 10000.0 ** (-paddle.arange(0, size, 2).astype(dtype) / size)
    # The angles twice: Paddle Inference writes the sines over the angles, whoever needs these still.
    angles = paddle.arange(first, last - 1, -1).astype(dtype).unsqueeze(1) * paddle.concat([frequencies] * 2)
    half = size // 2
    return paddle.concat([paddle.sin(angles[:, :half]), paddle.cos(angles[:, half:])], axis=1)


def causal_mask(queries: int, keys: int) -> paddle.Tensor:
    """Additive mask [1, 1, queries, keys] of the last ``queries`` among the keys: each sees itself and all before."""
    return paddle.triu(paddle.full([1, 1, queries, keys], MASKED), diagonal=keys - queries + 1)


def relative_shift(scores: paddle.Tensor, keys: int) -> paddle.Tensor:
    """Turns scores by distance into scores by key.

    Args:
        scores: [batch, heads, queries, distances]; the distances fall by 1, from ``keys``, which no pair has.
        keys: their number; the queries are the last among them.

    Returns:
        [batch, heads, queries, keys]; what belongs to a distance below the last one given is meaningless.
    """
    queries, distances = scores.shape[2:]
    # Read as rows of another length, each query's scores begin one column earlier than those of the query before.
    scores = scores.reshape([0, 0, distances, queries])[:, :, 1:].reshape([0, 0, queries, distances - 1])
    return scores[:, :, :, :keys]


class HeadBias(nn.Layer):
    """A vector that is added to all queries of a head: ``weight`` [heads, head size]."""

    weight: paddle.Tensor

    def __init__(self, num_heads: int, head_size: int) -> None:
        super().__init__()
        self.weight = self.create_parameter([num_heads, head_size])

    def forward(self, query: paddle.Tensor) -> paddle.Tensor:
        """[batch, length, heads, head size] -> [batch, heads, length, head size]."""
        return (query + self.weight).transpose([0, 2, 1, 3])


class RelativeAttention(nn.Layer):
    """Attention whose scores are (q + u) k + (q + w) r, where r encodes the distance of key and query.

    Of u and w, ``content_bias`` and ``position_bias``, each head has its own. The columns of ``kv_proj`` are laid out
    per head as (key, value).

    Args:
        hidden_size: width of the input.
        num_heads: number of heads.
        dropout: probability of dropping an attention weight while training.
        head_size: width of a head; by default the heads together are as wide as the input.
    """

    def __init__(self, hidden_size: int, num_heads: int, dropout: float, head_size: int | None = None) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_size = head_size or hidden_size // num_heads
        self.dropout = dropout
        width = num_heads * self.head_size
        self.q_proj = Linear(hidden_size, width)
        self.kv_proj = Linear(hidden_size, 2 * width)
        # Without a bias, which would shift all scores of a query alike.
        self.r_proj = Linear(hidden_size, width, bias_attr=False)
        self.content_bias = HeadBias(num_heads, self.head_size)
        self.position_bias = HeadBias(num_heads, self.head_size)
        self.out_proj = Linear(width, hidden_size)

    def keys_values(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """[batch, length, hidden] -> keys and values, [batch, heads, length, head size] each."""
        kv = self.kv_proj(x).reshape([0, 0, self.num_heads, 2, self.head_size])
        key, value = kv.transpose([3, 0, 2, 1, 4]).unbind(0)
        return key, value

    def position_keys(self, distances: paddle.Tensor) -> paddle.Tensor:
        """Encodings of distances [n, hidden] -> [1, heads, n, head size]."""
        # With the dimension of the batch, without which Paddle's matmul finds no gradient.
        return self.r_proj(distances).reshape([1, -1, self.num_heads, self.head_size]).transpose([0, 2, 1, 3])

    def forward(
        self,
        x: paddle.Tensor,
        key: paddle.Tensor,
        value: paddle.Tensor,
        position_keys: paddle.Tensor,
        mask: paddle.Tensor,
    ) -> paddle.Tensor:
        """[batch, queries, hidden] -> the same.

        Args:
            key, value: of all that the queries, the last ones, may see: [batch, heads, keys, head size].
            position_keys: of the distances ``keys`` downwards, as far as the mask lets a query look ahead.
            mask: additive, broadcastable to [batch, heads, queries, keys].
        """
        query = self.q_proj(x).reshape([0, 0, self.num_heads, self.head_size])
        scaled = self.position_bias(query) * self.head_size**-0.5
        by_position = relative_shift(paddle.matmul(scaled, position_keys, transpose_y=True), key.shape[2])
        context = functional.attention(
            self.content_bias(query), key, value, by_position + mask, self.dropout, self.training
        )
        return self.out_proj(context.transpose([0, 2, 1, 3]).flatten(2))


class Context(NamedTuple):
    """What a layer's next tokens see: the last m tokens of earlier segments and the running segment's t tokens.

    Attributes:
        position_keys: of the longest distance that can occur, and one more, down to 0.
        memory: the layer's outputs for the m tokens, [batch, m, hidden], without a gradient.
        outputs: its outputs for the t tokens, [batch, t, hidden].
        key, value: of both, [batch, heads, m + t, head size].
    """

    position_keys: paddle.Tensor
    memory: paddle.Tensor | None = None
    outputs: paddle.Tensor | None = None
    key: paddle.Tensor | None = None
    value: paddle.Tensor | None = None

    @property
    def length(self) -> int:
        """m + t."""
        return 0 if self.key is None else self.key.shape[2]

    def select(self, rows: paddle.Tensor) -> Context:
        """The context of these rows of the batch, int64 [n], which may repeat."""
        memory, outputs, key, value = (x if x is None else x.index_select(rows) for x in self[1:])
        return Context(self.position_keys, memory, outputs, key, value)


class TransformerXLLayer(nn.Layer):
    """Relative attention and feed-forward, each added to its input and normalised afterwards."""

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        intermediate_size: int,
        activation: str,
        dropout: float,
        attention_dropout: float,
        epsilon: float,
        head_size: int | None = None,
    ) -> None:
        super().__init__()
        self.self_attn = RelativeAttention(hidden_size, num_heads, attention_dropout, head_size)
        self.norm1 = ResidualNorm(hidden_size, epsilon, dropout)
        self.feed_forward = FeedForward(hidden_size, intermediate_size, activation)
        self.norm2 = ResidualNorm(hidden_size, epsilon, dropout)

    def forward(
        self, x: paddle.Tensor, mask: paddle.Tensor, distances: paddle.Tensor, segment_length: int | None = None
    ) -> paddle.Tensor:
        """[batch, length, hidden] -> the same.

        Args:
            mask: without ``segment_length`` that of one sequence, broadcastable to [batch, heads, length, length]; with
                it ``causal_mask(segment_length, memory + segment_length)``.
            distances: encodings, ``sinusoids`` of ``mask.shape[-1]`` down to the least that the mask leaves open.
            segment_length: ``x`` is cut into segments of so many tokens, of which the last may be shorter, and each
                sees besides itself the memory.
        """
        position_keys = self.self_attn.position_keys(distances)
        if segment_length is None:
            return self._computed(x, *self.self_attn.keys_values(x), position_keys, mask)
        memory_length = mask.shape[-1] - segment_length
        context, outputs = Context(position_keys), []
        for number, segment in enumerate(_segments(x, segment_length)):
            if number:
                context = self.next_segment(context, memory_length)
            columns = slice(memory_length - context.length, memory_length + segment.shape[1])
            y, context = self.extend(segment, context, mask[:, :, : segment.shape[1], columns])
            outputs.append(y)
        return paddle.concat(outputs, axis=1)

    def extend(self, x: paddle.Tensor, context: Context, mask: paddle.Tensor) -> tuple[paddle.Tensor, Context]:
        """Outputs for the next tokens x [batch, n, hidden] of the running segment, and the context after them.

        The mask is ``causal_mask(n, context.length + n)``.
        """
        key, value = self.self_attn.keys_values(x)
        key, value = _joined(context.key, key, 2), _joined(context.value, value, 2)
        y = self._computed(x, key, value, context.position_keys[:, :, -key.shape[2] - 1 :], mask)
        return y, context._replace(outputs=_joined(context.outputs, y, 1), key=key, value=value)

    def next_segment(self, context: Context, memory_length: int) -> Context:
        """The context at the start of the segment after the running one, whose outputs enter the memory."""
        if memory_length == 0:
            return Context(context.position_keys)
        assert context.outputs is not None
        memory = _joined(context.memory, context.outputs, 1)[:, -memory_length:].detach()
        key, value = self.self_attn.keys_values(memory)
        return Context(context.position_keys, memory, None, key, value)

    def _computed(self, x: paddle.Tensor, *attention: paddle.Tensor) -> paddle.Tensor:
        x = self.norm1(self.self_attn(x, *attention), x)
        return self.norm2(self.feed_forward(x), x)


class TransformerXL(nn.Layer):
    """A stack of ``num_layers`` layers; the other arguments are ``TransformerXLLayer``'s."""

    def __init__(self, num_layers: int, hidden_size: int, **layer: object) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.layers = nn.LayerList(
            [TransformerXLLayer(hidden_size, **layer) for _ in range(num_layers)]  # type: ignore[arg-type]
        )

    def forward(self, x: paddle.Tensor, mask: paddle.Tensor, segment_length: int | None = None) -> paddle.Tensor:
        """[batch, length, hidden] -> the same; mask and segments as ``TransformerXLLayer`` takes them."""
        keys = mask.shape[-1]
        distances = sinusoids(keys, 1 - keys if segment_length is None else 0, self.hidden_size)
        for layer in self.layers:
            x = layer(x, mask, distances, segment_length)
        return x

    def start(self, segment_length: int, memory_length: int) -> list[Context]:
        """The layers' contexts before a document's first token."""
        distances = sinusoids(memory_length + segment_length, 0, self.hidden_size)
        return [Context(layer.self_attn.position_keys(distances)) for layer in self.layers]

    def extend(self, x: paddle.Tensor, contexts: list[Context]) -> tuple[paddle.Tensor, list[Context]]:
        """Outputs for the running segment's next tokens, [batch, n, hidden], and the contexts after them."""
        mask = causal_mask(x.shape[1], contexts[0].length + x.shape[1])
        extended = []
        for layer, context in zip(self.layers, contexts, strict=True):
            x, context = layer.extend(x, context, mask)
            extended.append(context)
        return x, extended

    def next_segment(self, contexts: list[Context], memory_length: int) -> list[Context]:
        """The layers' contexts at the start of the segment after the running one."""
        return [layer.next_segment(c, memory_length) for layer, c in zip(self.layers, contexts, strict=True)]


def _segments(x: paddle.Tensor, length: int) -> list[paddle.Tensor]:
    whole, rest = divmod(x.shape[1], length)
    return paddle.split(x, [length] * whole + [rest] * (rest > 0), axis=1)


def _joined(earlier: paddle.Tensor | None, later: paddle.Tensor, axis: int) -> paddle.Tensor:
    return later if earlier is None else paddle.concat([earlier, later], axis)
