"""The text encoder of the BERT kind (Devlin et al. 2018, section 3) that the ERNIE families build on."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import paddle
from paddle import nn

from ppernie.architectures import EncoderConfig
from ppernie.nn.embeddings import EncoderEmbeddings
from ppernie.nn.encoder import Encoder
from ppernie.nn.layers import Linear
from ppernie.nn.masks import padding_mask


class EncoderNetwork(nn.Layer):
    """Base of a text encoder and of its heads.

    A new object holds Paddle's default values; ``reset_parameters`` draws a start for training.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config

    def draw(self, name: str, shape: Sequence[int]) -> paddle.Tensor:
        """Values to start a parameter with: matrices from N(0, initializer_range), biases 0 and norms the identity.

        Args:
            name: the parameter's dotted name.
            shape: of the whole parameter.
        """
        if len(shape) == 2:
            return paddle.normal(0.0, self.config.initializer_range, shape)
        return paddle.full(shape, 0.0 if name.endswith("bias") else 1.0)

    def reset_parameters(self, names: Collection[str] | None = None) -> None:
        """Draws the parameters of these names, or all."""
        for name, parameter in self.named_parameters():
            if names is None or name in names:
                parameter.set_value(self.draw(name, parameter.shape))


class TextEncoder(EncoderNetwork):
    """Embeddings, post-norm encoder layers, and a pooler over the first token."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.embeddings = EncoderEmbeddings(
            vocab_size=config.vocab_size,
            max_positions=config.max_position_embeddings,
            num_types=config.type_vocab_size,
            num_tasks=config.task_type_vocab_size,
            hidden_size=config.hidden_size,
            dropout=config.hidden_dropout_prob,
            epsilon=config.layer_norm_eps,
        )
        self.encoder = Encoder(
            config.num_hidden_layers,
            hidden_size=config.hidden_size,
            num_heads=config.num_attention_heads,
            intermediate_size=config.intermediate_size,
            activation=config.hidden_act,
            dropout=config.hidden_dropout_prob,
            attention_dropout=config.attention_probs_dropout_prob,
            epsilon=config.layer_norm_eps,
            head_size=config.head_dim,
        )
        self.pooler = Linear(config.hidden_size, config.hidden_size)

    def attention_mask(self, input_ids: paddle.Tensor, position_ids: paddle.Tensor | None) -> paddle.Tensor:
        """What is added to the attention scores, broadcastable to [batch, heads, length, length]."""
        return padding_mask(input_ids, self.config.pad_token_id)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        position_ids: paddle.Tensor | None = None,
        task_type_ids: paddle.Tensor | None = None,
        queries: int | None = None,
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Returns the last layer [batch, length, hidden] and the pooled first token [batch, hidden].

        Takes int64 ids [batch, length]; segments and tasks default to 0, and padding is hidden where ``input_ids``
        equals ``pad_token_id``. With ``queries``, the last layer is computed for that many first tokens only.
        """
        x = self.embeddings(input_ids, token_type_ids, position_ids, task_type_ids)
        x = self.encoder(x, self.attention_mask(input_ids, position_ids), queries)
        return x, paddle.tanh(self.pooler(x[:, 0]))
