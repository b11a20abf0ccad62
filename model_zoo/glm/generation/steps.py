"""The two steps of generation as networks of their own, for static graphs: reading prompts, and reading one token.

What was read is one tensor of keys and one of values for all layers, [batch, layers, heads, length, head size].
"""

from __future__ import annotations

import paddle
from paddle import nn

from model_zoo.glm.modeling import GlmForBlankInfilling, Past
from ppernie.decoding.stepwise import Step, Steps
from ppernie.inference.deploy import Field
from ppernie.nn.masks import MASKED, interval_mask


class Prefill(nn.Layer):
    """Reads prompts."""

    def __init__(self, network: GlmForBlankInfilling) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, input_ids: paddle.Tensor, position_ids: paddle.Tensor, visible: paddle.Tensor
    ) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """Arguments as ``GlmForBlankInfilling.read``'s; logits [batch, vocab], keys and values."""
        x, layers = self.network.extend(input_ids, position_ids, interval_mask(visible), None)
        return self.network.scores(x[:, -1]), *_joined(layers)


class Decode(nn.Layer):
    """Reads one token of each row."""

    def __init__(self, network: GlmForBlankInfilling) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        input_ids: paddle.Tensor,
        position_ids: paddle.Tensor,
        bounds: paddle.Tensor,
        keys: paddle.Tensor,
        values: paddle.Tensor,
    ) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """Logits [batch, vocab], and keys and values of the token, of length 1.

        Args:
            input_ids: int64 [batch, 1].
            position_ids: int64 [batch, rows, 1].
            bounds: int64 [batch, 2], from where to before where keys and values are those of what was read.
            keys, values: with room for more.
        """
        places = paddle.arange(keys.shape[3], dtype="int64").unsqueeze(0)
        hidden = (places < bounds[:, :1]) | (places >= bounds[:, 1:])
        mask = hidden.astype(paddle.get_default_dtype()) * MASKED
        mask = paddle.concat([mask, paddle.zeros_like(mask[:, :1])], axis=1).unsqueeze([1, 2])
        past = [Past(keys[:, layer], values[:, layer]) for layer in range(keys.shape[1])]
        x, layers = self.network.extend(input_ids, position_ids, mask, past)
        key, value = _joined(layers)
        return self.network.scores(x[:, -1]), key[:, :, :, -1:], value[:, :, :, -1:]


def _joined(layers: list[Past]) -> tuple[paddle.Tensor, paddle.Tensor]:
    return paddle.stack([past.key for past in layers], axis=1), paddle.stack([past.value for past in layers], axis=1)


def steps_of(network: GlmForBlankInfilling, window: int) -> Steps:
    """Both steps, and what they take; a window holds so many tokens."""
    config = network.config
    cache = ("batch", "layers", "heads", "past_length", "head_size")
    positions = config.max_position_embeddings + (config.positions == "learned_2d")
    logits, read, new = ("batch", "vocabulary"), (*cache[:3], "length", cache[4]), (*cache[:3], "new", cache[4])
    prefill = [
        Field("input_ids", "int64", ("batch", "length"), 0, config.vocab_size),
        Field("position_ids", "int64", ("batch", "rows", "length"), 0, positions),
        Field("visible", "int64", ("batch", "stretches", "length"), 0, window + 1),
    ]
    decode = [
        Field("input_ids", "int64", ("batch", "new"), 0, config.vocab_size),
        Field("position_ids", "int64", ("batch", "rows", "new"), 0, positions),
        Field("bounds", "int64", ("batch", "ends"), 0, window + 1),
        Field("keys", "float32", cache, 0, None),
        Field("values", "float32", cache, 0, None),
    ]
    sizes = {"rows": config.position_rows, "stretches": 3, "ends": 2, "new": 1, "layers": config.num_hidden_layers}
    sizes |= {"heads": config.num_attention_heads, "head_size": config.head_size}
    return Steps(
        {
            "prefill": Step(Prefill(network), prefill, [logits, read, read]),
            "decode": Step(Decode(network), decode, [logits, new, new]),
        },
        sizes,
    )
