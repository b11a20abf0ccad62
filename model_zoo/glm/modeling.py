"""GLM-130B (Zeng et al. 2022, arXiv:2210.02414, sections 2 and 3), the smaller GLMs (Du et al. 2021, arXiv:2103.10360)
and ChatGLM-6B: a network that fills blanks of a text, which it sees from both sides, from left to right.

``GlmConfig`` says where the three differ. GLM-130B's DeepNorm is written as its trainer wrote it: a layer begins with
the norm that closes the one before, and the residual is what that norm returns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import paddle
from paddle import nn
from paddle.nn import functional as F

from model_zoo.glm.config import GlmConfig
from ppernie.nn import Dropout, LayerNorm, Linear, functional
from ppernie.nn.layers import TiedDecoder
from ppernie.nn.masks import MASKED, interval_mask
from ppernie.nn.rotary import RotaryTable, Rotation, rotate


class GlmEmbeddings(nn.Layer):
    """Word embeddings and, for learned positions, those of the position and of the place in the blank; then dropout.

    Attributes:
        gradient: factor of the gradient that words give their table (arXiv:2210.02414, section 3); the head, whose
            matrix is the same table, gives its gradient whole. A run may change it from step to step.
    """

    def __init__(self, config: GlmConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.learned = config.positions == "learned_2d"
        if self.learned:
            self.position_embeddings = nn.Embedding(config.learned_positions, config.hidden_size)
            self.block_position_embeddings = nn.Embedding(config.learned_positions, config.hidden_size)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.gradient = config.embedding_gradient

    def forward(self, input_ids: paddle.Tensor, position_ids: paddle.Tensor) -> paddle.Tensor:
        """int64 [batch, length] and [batch, rows, length] -> [batch, length, hidden]."""
        x = self.word_embeddings(input_ids)
        if self.gradient < 1 and self.training:
            x = x * self.gradient + x.detach() * (1 - self.gradient)
        if self.learned:
            x = x + self.position_embeddings(position_ids[:, 0]) + self.block_position_embeddings(position_ids[:, 1])
        return self.dropout(x)


class Past(NamedTuple):
    """Keys and values of the tokens that a layer has read, [batch, heads, length, head size] each."""

    key: paddle.Tensor
    value: paddle.Tensor


class GlmAttention(nn.Layer):
    """Self-attention; the columns of ``qkv_proj`` are laid out per head as (query, key, value).

    Args:
        number: of the layer, from 0. In half precision the scores of layer l are computed l + 1 times too small and
            blown up in float32, lest they overflow (arXiv:2210.02414, section 3).

    Attributes:
        prefix: makes keys and values that every token sees beside those of tokens (``ppernie.peft.prefix``), or None.
    """

    def __init__(self, config: GlmConfig, number: int) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.head_size = config.head_size
        self.dropout = config.attention_dropout_prob
        self.number = number
        self.qkv_proj = Linear(config.hidden_size, 3 * config.attention_size)
        self.out_proj = Linear(config.attention_size, config.hidden_size)
        self.prefix: nn.Layer | None = None

    def forward(self, x: paddle.Tensor, mask: paddle.Tensor, rotation: Rotation | None) -> paddle.Tensor:
        """[batch, length, hidden] -> the same; the additive mask is [batch, 1, length, length]."""
        qkv = self._projected(x, rotation)
        if qkv.dtype == paddle.float16 or self.prefix is not None:
            query, key, value = qkv.transpose([3, 0, 2, 1, 4]).unbind(0)
            return self._output(self._attended(query, key, value, mask))
        return self.out_proj(functional.self_attention(qkv, mask, self.dropout, self.training))

    def extend(
        self, x: paddle.Tensor, mask: paddle.Tensor | None, rotation: Rotation | None, past: Past | None
    ) -> tuple[paddle.Tensor, Past]:
        """What comes of the next tokens [batch, n, hidden], which see the past as the mask [batch, 1, n, all] says."""
        query, key, value = self._projected(x, rotation).transpose([3, 0, 2, 1, 4]).unbind(0)
        if past is not None:
            key, value = paddle.concat([past.key, key], axis=2), paddle.concat([past.value, value], axis=2)
        return self._output(self._attended(query, key, value, mask)), Past(key, value)

    def _projected(self, x: paddle.Tensor, rotation: Rotation | None) -> paddle.Tensor:
        """[batch, length, heads, 3, head size], queries and keys turned."""
        qkv = self.qkv_proj(x).reshape([0, 0, self.num_heads, 3, self.head_size])
        if rotation is None:
            return qkv
        return paddle.concat([rotate(qkv[:, :, :, :2], rotation), qkv[:, :, :, 2:]], axis=3)

    def _attended(
        self, query: paddle.Tensor, key: paddle.Tensor, value: paddle.Tensor, mask: paddle.Tensor | None
    ) -> paddle.Tensor:
        if self.prefix is not None:
            before = [part.expand([key.shape[0], -1, -1, -1]).astype(key.dtype) for part in self.prefix()]
            key, value = paddle.concat([before[0], key], axis=2), paddle.concat([before[1], value], axis=2)
            mask = None if mask is None else F.pad(mask, [before[0].shape[2], 0, 0, 0])
        if query.dtype == paddle.float16:
            return self._half_attention(query, key, value, mask)
        return functional.attention(query, key, value, mask, self.dropout, self.training)

    def _half_attention(
        self, query: paddle.Tensor, key: paddle.Tensor, value: paddle.Tensor, mask: paddle.Tensor | None
    ) -> paddle.Tensor:
        shrink = self.number + 1.0
        scores = paddle.matmul(query * (1.0 / (self.head_size**0.5 * shrink)), key, transpose_y=True)
        scores = scores.astype("float32") * shrink
        if mask is not None:
            # Scores may be so large that adding MASKED would not hide them.
            scores = paddle.where(mask < 0, MASKED * shrink, scores)
        weights = F.softmax(scores, axis=-1).astype(query.dtype)
        return paddle.matmul(functional.dropout(weights, self.dropout, self.training), value)

    def _output(self, context: paddle.Tensor) -> paddle.Tensor:
        return self.out_proj(context.transpose([0, 2, 1, 3]).flatten(2))


class GlmFeedForward(nn.Layer):
    """Two linear maps with GELU's tanh form between them; or, of ``geglu``, one half times the GELU of the other.

    GEGLU's first map makes the values in its first half and the gates in its second.
    """

    def __init__(self, config: GlmConfig) -> None:
        super().__init__()
        self.gated = config.gated
        self.linear1 = Linear(config.hidden_size, config.feed_forward_outputs)
        self.linear2 = Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """[..., hidden] -> [..., hidden]."""
        x = self.linear1(x)
        if not self.gated:
            return self.linear2(F.gelu(x, approximate=True))
        value, gate = x.chunk(2, axis=-1)
        return self.linear2(value * functional.gelu(gate))


class GlmLayer(nn.Layer):
    """Norm and attention, norm and feed-forward network, each around a residual: the layer's input or, of DeepNorm,
    what the norm makes of it, times ``residual_scale``."""

    def __init__(self, config: GlmConfig, number: int) -> None:
        super().__init__()
        self.deepnorm = config.normalization == "deepnorm"
        self.residual_scale = config.residual_scale
        self.norm1 = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.attention = GlmAttention(config, number)
        self.norm2 = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.feed_forward = GlmFeedForward(config)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, x: paddle.Tensor, mask: paddle.Tensor, rotation: Rotation | None) -> paddle.Tensor:
        """[batch, length, hidden] -> the same; the additive mask is [batch, 1, length, length]."""
        normed = self.norm1(x)
        return self._fed_forward(self._added(x, normed, self.attention(normed, mask, rotation)))

    def extend(
        self, x: paddle.Tensor, mask: paddle.Tensor | None, rotation: Rotation | None, past: Past | None
    ) -> tuple[paddle.Tensor, Past]:
        """``forward`` of the next tokens [batch, n, hidden] after those of the past, and the past with them."""
        normed = self.norm1(x)
        attended, past = self.attention.extend(normed, mask, rotation, past)
        return self._fed_forward(self._added(x, normed, attended)), past

    def _fed_forward(self, x: paddle.Tensor) -> paddle.Tensor:
        normed = self.norm2(x)
        return self._added(x, normed, self.feed_forward(normed))

    def _added(self, x: paddle.Tensor, normed: paddle.Tensor, output: paddle.Tensor) -> paddle.Tensor:
        if self.deepnorm:
            return normed * self.residual_scale + self.dropout(output)
        return x + self.dropout(output)


class Reading(NamedTuple):
    """What the layers have read.

    Attributes:
        layers: the past of each.
        start: int64 [batch], where each row begins behind its padding; None where no row is padded.
    """

    layers: list[Past]
    start: paddle.Tensor | None = None

    @property
    def length(self) -> int:
        """Tokens read, padding included."""
        return self.layers[0].key.shape[2]


class GlmForBlankInfilling(nn.Layer):
    """Scores of the vocabulary for what follows every token; the head's matrix is the word table."""

    def __init__(self, config: GlmConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = GlmEmbeddings(config)
        self.rotary = (
            None
            if config.positions == "learned_2d"
            else RotaryTable(config.max_position_embeddings, config.rotated_size, config.rotary_precision)
        )
        self.layers = nn.LayerList([GlmLayer(config, number) for number in range(config.num_hidden_layers)])
        self.final_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.decoder = TiedDecoder(config.vocab_size, bias=False)

    def forward(
        self,
        input_ids: paddle.Tensor,
        position_ids: paddle.Tensor,
        visible: paddle.Tensor,
        predicted_positions: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Logits [batch, length, vocab] or, with ``predicted_positions``, [n, vocab].

        Args:
            input_ids: int64 [batch, length].
            position_ids: int64 [batch, rows, length] with ``GlmConfig.position_rows`` rows: the position, and the
                place in the blank, 0 outside of it.
            visible: int64 [batch, 3, length]: start, context and own of every token, which sees the tokens
                from start to before context, and those from own to itself.
            predicted_positions: int64 [n] into [batch * length].
        """
        x = self.embeddings(input_ids, position_ids)
        mask = interval_mask(visible)
        rotation = None if self.rotary is None else self.rotary(position_ids)
        for layer in self.layers:
            x = layer(x, mask, rotation)
        if predicted_positions is not None:
            x = x.flatten(0, 1).gather(predicted_positions)
        return self.scores(x)

    def scores(self, x: paddle.Tensor) -> paddle.Tensor:
        """Logits [..., vocab] of the last layer's outputs [..., hidden]."""
        return self.decoder(self.final_norm(x), self.embeddings.word_embeddings.weight)

    @paddle.no_grad()
    def read(
        self, input_ids: paddle.Tensor, position_ids: paddle.Tensor, visible: paddle.Tensor
    ) -> tuple[paddle.Tensor, Reading]:
        """Reads prompts, padded on the left, arguments as ``forward``'s.

        Returns:
            Logits [batch, vocab] for what follows the last token, and what was read.
        """
        mask = interval_mask(visible)
        x, layers = self.extend(input_ids, position_ids, mask, None)
        padded = visible[:, 2, -1]
        return self.scores(x[:, -1]), Reading(layers, padded if bool((padded > 0).any()) else None)

    @paddle.no_grad()
    def read_on(
        self, input_ids: paddle.Tensor, position_ids: paddle.Tensor, reading: Reading
    ) -> tuple[paddle.Tensor, Reading]:
        """Reads the next token of each row, int64 [batch, 1] and [batch, rows, 1]; logits [batch, vocab]."""
        mask = None
        if reading.start is not None:
            hidden = paddle.arange(reading.length + 1).unsqueeze(0) < reading.start.unsqueeze(1)
            mask = (hidden.astype(paddle.get_default_dtype()) * MASKED).unsqueeze([1, 2])
        x, layers = self.extend(input_ids, position_ids, mask, reading.layers)
        return self.scores(x[:, -1]), Reading(layers, reading.start)

    @paddle.no_grad()
    def select(self, reading: Reading, rows: paddle.Tensor) -> Reading:
        """What was read of these rows of the batch, int64 [n], which may repeat."""
        layers = [Past(past.key.index_select(rows), past.value.index_select(rows)) for past in reading.layers]
        return Reading(layers, None if reading.start is None else reading.start.index_select(rows))

    def extend(
        self,
        input_ids: paddle.Tensor,
        position_ids: paddle.Tensor,
        mask: paddle.Tensor | None,
        past: Sequence[Past] | None,
    ) -> tuple[paddle.Tensor, list[Past]]:
        """What the layers make of the next n tokens, [batch, n, hidden], and the past of each with them.

        The additive mask is [batch, 1, n, all]; without a past, nothing was read before.
        """
        x = self.embeddings(input_ids, position_ids)
        rotation = None if self.rotary is None else self.rotary(position_ids)
        layers = []
        for number, layer in enumerate(self.layers):
            x, after = layer.extend(x, mask, rotation, None if past is None else past[number])
            layers.append(after)
        return x, layers

    def draw(self, name: str, shape: Sequence[int]) -> paddle.Tensor:
        """Values to start a parameter with (arXiv:2210.02414, section 2.1 and Table 11).

        Biases are 0 and norms the identity. Matrices come from normal distributions: of DeepNorm with a standard
        deviation of sqrt(1 / (3 hidden)), but Xavier's over sqrt(2 layers) for values, the attention's output and the
        feed-forward network; else of 0.02.

        Args:
            name: the parameter's dotted name.
            shape: of the whole parameter.
        """
        if len(shape) == 1:
            return paddle.full(shape, 0.0 if name.endswith("bias") else 1.0)
        if self.config.normalization == "pre":
            return paddle.normal(0.0, 0.02, shape)
        x = paddle.normal(0.0, (3 * self.config.hidden_size) ** -0.5, shape)
        if "qkv_proj" in name:
            parts = x.reshape([shape[0], self.config.num_attention_heads, 3, self.config.head_size])
            value = self._xavier([shape[0], self.config.num_attention_heads, 1, self.config.head_size], shape[0])
            return paddle.concat([parts[:, :, :2], value], axis=2).reshape(shape)
        if "embeddings" in name:
            return x
        return self._xavier(shape, shape[1])

    def _xavier(self, shape: Sequence[int], outputs: int) -> paddle.Tensor:
        return paddle.normal(0.0, (2 / (shape[0] + outputs)) ** 0.5 / self.config.residual_scale, shape)

    def reset_parameters(self, names: Collection[str] | None = None) -> None:
        """Draws the parameters of these names, or all."""
        for name, parameter in self.named_parameters():
            if names is None or name in names:
                parameter.set_value(self.draw(name, parameter.shape))
