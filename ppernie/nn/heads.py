"""Task heads over a text encoder; a family names its encoder and inherits the rest.

Every forward takes int64 ids [batch, length]; segments and tasks default to 0, and padding is hidden where
``input_ids`` equals ``pad_token_id``.
"""

from __future__ import annotations

from typing import ClassVar

import paddle
from paddle.nn import functional as F

from ppernie.architectures import EncoderConfig
from ppernie.nn.functional import ACTIVATIONS
from ppernie.nn.layers import Dropout, LayerNorm, Linear, TiedDecoder
from ppernie.nn.text_encoder import EncoderNetwork, TextEncoder


class EncoderHead(EncoderNetwork):
    """Base of the heads: the family's encoder is ``backbone``."""

    encoder_class: ClassVar[type[TextEncoder]]

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.backbone = self.encoder_class(config)


class ForSequenceClassification(EncoderHead):
    """Classes or, with ``num_labels=1``, one score for a text or a pair."""

    def __init__(self, config: EncoderConfig, num_labels: int) -> None:
        super().__init__(config)
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
        _, pooled = self.backbone(input_ids, token_type_ids, position_ids, task_type_ids, queries=1)
        return self.classifier(self.dropout(pooled))


class ForTokenClassification(EncoderHead):
    """A tag for every token."""

    def __init__(self, config: EncoderConfig, num_labels: int) -> None:
        super().__init__(config)
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
        sequence, _ = self.backbone(input_ids, token_type_ids, position_ids, task_type_ids)
        return self.classifier(self.dropout(sequence))


class ForQuestionAnswering(EncoderHead):
    """Start and end of an answer inside the text."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.classifier = Linear(config.hidden_size, 2)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        position_ids: paddle.Tensor | None = None,
        task_type_ids: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Returns logits [batch, length, 2]: column 0 for the start, column 1 for the end."""
        sequence, _ = self.backbone(input_ids, token_type_ids, position_ids, task_type_ids)
        return self.classifier(sequence)


class ForMultipleChoice(EncoderHead):
    """One score for each of several choices."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
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
        _, pooled = self.backbone(*ids, queries=1)
        return self.classifier(self.dropout(pooled)).reshape([batch, choices])


class DualEncoder(EncoderHead):
    """Two texts, each encoded alone by the same weights and compared by the cosine of their pooled outputs."""

    def encode(self, input_ids: paddle.Tensor) -> paddle.Tensor:
        """Returns unit vectors [batch, hidden]."""
        _, pooled = self.backbone(input_ids, queries=1)
        return F.normalize(pooled, axis=-1)

    def forward(self, input_ids: paddle.Tensor, pair_input_ids: paddle.Tensor) -> paddle.Tensor:
        """Returns the cosine of every text with its pair, [batch]."""
        return (self.encode(input_ids) * self.encode(pair_input_ids)).sum(-1)


class ForMaskedLM(EncoderHead):
    """Predicts masked tokens; the decoder's matrix is the word table."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.transform = Linear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.layer_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.decoder = TiedDecoder(config.vocab_size)

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
        sequence, _ = self.backbone(input_ids, token_type_ids, position_ids, task_type_ids)
        if masked_positions is not None:
            sequence = sequence.reshape([-1, self.config.hidden_size]).gather(masked_positions)
        sequence = self.layer_norm(self.activation(self.transform(sequence)))
        return self.decoder(sequence, self.backbone.embeddings.word_embeddings.weight)
