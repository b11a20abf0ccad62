"""The released ERNIE encoders and their heads.

Papers: ERNIE 1.0 (arXiv:1904.09223), ERNIE 2.0 (arXiv:1907.12412), ERNIE 3.0 (arXiv:2107.02137). The released
ERNIE 3.0 models are the encoders distilled from the paper's 10 B network; their architecture is ERNIE 2.0's: BERT's
encoder and, in most of them, a fourth embedding for the type of task (``task_type_vocab_size``).
"""

from __future__ import annotations

from ppernie.nn import TextEncoder, heads


class ErnieModel(TextEncoder):
    """The encoder without a head."""


class ErnieForSequenceClassification(heads.ForSequenceClassification):
    """Classes or, with ``num_labels=1``, one score for a text or a pair."""

    encoder_class = ErnieModel


class ErnieForTokenClassification(heads.ForTokenClassification):
    """A tag for every token."""

    encoder_class = ErnieModel


class ErnieForQuestionAnswering(heads.ForQuestionAnswering):
    """Start and end of an answer inside the text."""

    encoder_class = ErnieModel


class ErnieForMultipleChoice(heads.ForMultipleChoice):
    """One score for each of several choices."""

    encoder_class = ErnieModel


class ErnieDualEncoder(heads.DualEncoder):
    """Two texts, each encoded alone by the same weights and compared by the cosine of their pooled outputs."""

    encoder_class = ErnieModel


class ErnieForMaskedLM(heads.ForMaskedLM):
    """Predicts masked tokens; the decoder's matrix is the word table."""

    encoder_class = ErnieModel
