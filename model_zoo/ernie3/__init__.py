"""ERNIE 3.0 (Sun et al. 2021, arXiv:2107.02137): the released encoders and their kin of ERNIE 1.0 and 2.0.

The paper's own network, of which no weights were released, is the package ``universal``.
"""

from model_zoo.ernie3.config import ErnieConfig

config_class = ErnieConfig
networks = ("universal",)
architectures: dict[str, tuple[str, ...]] = {
    "ErnieModel": ("distillation",),
    "ErnieForSequenceClassification": ("sequence_classification", "cross_similarity"),
    "ErnieForTokenClassification": ("token_classification",),
    "ErnieForQuestionAnswering": ("span_extraction",),
    "ErnieForMultipleChoice": ("multiple_choice",),
    "ErnieDualEncoder": ("dual_similarity",),
    "ErnieForMaskedLM": ("masked_language_modeling",),
}
