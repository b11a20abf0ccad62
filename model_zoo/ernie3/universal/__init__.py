"""ERNIE 3.0's own network (Sun et al. 2021, arXiv:2107.02137): a trunk and two modules, one for either paradigm."""

from model_zoo.ernie3.universal.config import VARIANTS, UniversalConfig

config_class = UniversalConfig
variants = VARIANTS
architectures: dict[str, tuple[str, ...]] = {
    "ErnieUniversalForPretraining": ("ernie3/pretraining",),
    "ErnieUniversalForSequenceClassification": ("sequence_classification", "cross_similarity"),
    "ErnieUniversalForTokenClassification": ("token_classification",),
    "ErnieUniversalForQuestionAnswering": ("span_extraction",),
    "ErnieUniversalForGeneration": ("text_generation",),
}
tasks = {"pretraining": "pretraining:UniversalPretraining"}
