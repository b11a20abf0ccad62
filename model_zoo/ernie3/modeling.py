"""The released ERNIE encoders and their heads.

Papers: ERNIE 1.0 (arXiv:1904.09223), ERNIE 2.0 (arXiv:1907.12412), ERNIE 3.0 (arXiv:2107.02137). The released
ERNIE 3.0 models are the encoders distilled from the paper's 10 B network; their architecture is ERNIE 2.0's.

Every forward takes int64 ids [batch, length]; segments and tasks default to 0, and padding is hidden where
``input_ids`` equals ``pad_token_id``.
"""

from __future__ import annotations

import paddle
from paddle import nn
from paddle.nn import functional as F

from model_zoo.ernie3.config import ErnieConfig
from ppernie.nn import Dropout, Encoder, EncoderEmbeddings, LayerNorm, Linear, padding_mask
from ppernie.nn.functional import ACTIVATIONS


class ErniePretrainedModel(nn.Layer):
    """Base of all classes here.

    A new object holds Paddle's default values; ``reset_parameters`` draws a start for training.
    """

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        self.config = config

    def reset_parameters(self) -> None:
        """Draws every matrix from N(0, initializer_range); biases are 0 and norms the identity."""
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.initializer.Normal(0.0, self.config.initializer_range)(parameter)
            elif name.endswith("bias"):
                nn.initializer.Constant(0.0)(parameter)


class ErnieModel(ErniePretrainedModel):
    """The encoder without a head."""

    def __init__(self, config: ErnieConfig) -> None:
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
        )
        self.pooler = Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        position_ids: paddle.Tensor | None = None,
        task_type_ids: paddle.Tensor | None = None,
        queries: int | None = None,
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Returns the last layer [batch, length, hidden] and the pooled first token [batch, hidden].

        With ``queries``, the last layer is computed for that many first tokens only.
        """
        mask = padding_mask(input_ids, self.config.pad_token_id)
        x = self.embeddings(input_ids, token_type_ids, position_ids, task_type_ids)
        x = self.encoder(x, mask, queries)
        return x, paddle.tanh(self.pooler(x[:, 0]))


class ErnieForSequenceClassification(ErniePretrainedModel):
    """Classes or, with ``num_labels=1``, one score for a text or a pair."""

    def __init__(self, config: ErnieConfig, num_labels: int) -> None:
        super().__init__(config)
        self.ernie = ErnieModel(config)
        self.dropout = Dropout(config.head_dropout)
        self.classifier = Linear(config.hidden_size, num_labels)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        position_ids: paddle.Tensor | None = None,
        task_type_ids: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Returns logits [batch, num_labels]."""
        _, pooled = self.ernie(input_ids, token_type_ids, position_ids, task_type_ids, queries=1)
        return self.classifier(self.dropout(pooled))


class ErnieForTokenClassification(ErniePretrainedModel):
    """A tag for every token."""

    def __init__(self, config: ErnieConfig, num_labels: int) -> None:
        super().__init__(config)
        self.ernie = ErnieModel(config)
        self.dropout = Dropout(config.head_dropout)
        self.classifier = Linear(config.hidden_size, num_labels)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        position_ids: paddle.Tensor | None = None,
        task_type_ids: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Returns logits [batch, length, num_labels]."""
        sequence, _ = self.ernie(input_ids, token_type_ids, position_ids, task_type_ids)
        return self.classifier(self.dropout(sequence))


class ErnieForQuestionAnswering(ErniePretrainedModel):
    """Start and end of an answer inside the text."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__(config)
        self.ernie = ErnieModel(config)
        self.classifier = Linear(config.hidden_size, 2)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        position_ids: paddle.Tensor | None = None,
        task_type_ids: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Returns logits [batch, length, 2]: column 0 for the start, column 1 for the end."""
        sequence, _ = self.ernie(input_ids, token_type_ids, position_ids, task_type_ids)
        return self.classifier(sequence)


class ErnieForMultipleChoice(ErniePretrainedModel):
    """One score for each of several choices."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__(config)
        self.ernie = ErnieModel(config)
        self.dropout = Dropout(config.head_dropout)
        self.classifier = Linear(config.hidden_size, 1)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        position_ids: paddle.Tensor | None = None,
        task_type_ids: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Takes ids [batch, choices, length] and returns logits [batch, choices]."""
        batch, choices, length = paddle.shape(input_ids).unbind(0)

        def rows(ids: paddle.Tensor | None) -> paddle.Tensor | None:
            return None if ids is None else ids.reshape([-1, length])

        ids = (rows(input_ids), rows(token_type_ids), rows(position_ids), rows(task_type_ids))
        _, pooled = self.ernie(*ids, queries=1)
        return self.classifier(self.dropout(pooled)).reshape([batch, choices])


class ErnieDualEncoder(ErniePretrainedModel):
    """Two texts, each encoded alone by the same weights and compared by the cosine of their pooled outputs."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__(config)
        self.ernie = ErnieModel(config)

    def encode(self, input_ids: paddle.Tensor) -> paddle.Tensor:
        """Returns unit vectors [batch, hidden]."""
        _, pooled = self.ernie(input_ids, queries=1)
        return F.normalize(pooled, axis=-1)

    def forward(self, input_ids: paddle.Tensor, pair_input_ids: paddle.Tensor) -> paddle.Tensor:
        """Returns the cosine of every text with its pair, [batch]."""
        return (self.encode(input_ids) * self.encode(pair_input_ids)).sum(-1)


class ErnieForMaskedLM(ErniePretrainedModel):
    """Predicts masked tokens; the decoder's matrix is the word table."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__(config)
        self.ernie = ErnieModel(config)
        self.transform = Linear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.layer_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.decoder_bias = self.create_parameter([config.vocab_size], is_bias=True)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        position_ids: paddle.Tensor | None = None,
        task_type_ids: paddle.Tensor | None = None,
        masked_positions: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Returns logits over the vocabulary.

        With ``masked_positions``, int64 [n] into the flattened [batch * length], only those rows are projected
        and the result is [n, vocab]; without, it is [batch, length, vocab].
        """
        sequence, _ = self.ernie(input_ids, token_type_ids, position_ids, task_type_ids)
        if masked_positions is not None:
            sequence = sequence.reshape([-1, self.config.hidden_size]).gather(masked_positions)
        sequence = self.layer_norm(self.activation(self.transform(sequence)))
        table = self.ernie.embeddings.word_embeddings.weight
        return paddle.matmul(sequence, table, transpose_y=True) + self.decoder_bias
