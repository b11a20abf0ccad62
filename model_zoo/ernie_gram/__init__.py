"""ERNIE-Gram (Xiao et al. 2020, arXiv:2010.12148): encoders pretrained on whole n-grams, Chinese and English."""

from model_zoo.ernie_gram.config import ErnieGramConfig

config_class = ErnieGramConfig
networks = ("pretraining",)
architectures: dict[str, tuple[str, ...]] = {
    "ErnieGramModel": ("distillation",),
    "ErnieGramForSequenceClassification": ("sequence_classification", "cross_similarity"),
    "ErnieGramForTokenClassification": ("token_classification",),
    "ErnieGramForQuestionAnswering": ("span_extraction",),
    "ErnieGramForMultipleChoice": ("multiple_choice",),
    "ErnieGramDualEncoder": ("dual_similarity",),
    "ErnieGramForMaskedLM": ("masked_language_modeling",),
}
