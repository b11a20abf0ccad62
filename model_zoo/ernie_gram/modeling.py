"""The released ERNIE-Gram encoders and their heads.

Paper: arXiv:2010.12148. For fine-tuning it is BERT's encoder; the English models add a bias for relative positions
to the attention scores. The networks that pretraining needs besides are not part of the released weights.
"""

from __future__ import annotations

import paddle

from model_zoo.ernie_gram.config import ErnieGramConfig
from ppernie.nn import RelativePositions, TextEncoder, heads


class ErnieGramModel(TextEncoder):
    """The encoder without a head."""

    def __init__(self, config: ErnieGramConfig) -> None:
        super().__init__(config)
        self.relative_positions = RelativePositions(config.num_attention_heads) if config.rel_pos_size else None

    def attention_mask(self, input_ids: paddle.Tensor, position_ids: paddle.Tensor | None) -> paddle.Tensor:
        """The padding mask and, where the model has it, the bias that every layer shares."""
        mask = super().attention_mask(input_ids, position_ids)
        if self.relative_positions is None:
            return mask
        if position_ids is None:
            position_ids = paddle.arange(input_ids.shape[1]).unsqueeze(0)
        return mask + self.relative_positions(position_ids)


class ErnieGramForSequenceClassification(heads.ForSequenceClassification):
    """Classes or, with ``num_labels=1``, one score for a text or a pair."""

    encoder_class = ErnieGramModel


class ErnieGramForTokenClassification(heads.ForTokenClassification):
    """A tag for every token."""

    encoder_class = ErnieGramModel


class ErnieGramForQuestionAnswering(heads.ForQuestionAnswering):
    """Start and end of an answer inside the text."""

    encoder_class = ErnieGramModel


class ErnieGramForMultipleChoice(heads.ForMultipleChoice):
    """One score for each of several choices."""

    encoder_class = ErnieGramModel


class ErnieGramDualEncoder(heads.DualEncoder):
    """Two texts, each encoded alone by the same weights and compared by the cosine of their pooled outputs."""

    encoder_class = ErnieGramModel


class ErnieGramForMaskedLM(heads.ForMaskedLM):
    """Predicts masked tokens; the decoder's matrix is the word table."""

    encoder_class = ErnieGramModel
