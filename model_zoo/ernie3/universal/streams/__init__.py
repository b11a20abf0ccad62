"""Samples of ERNIE 3.0's pretraining (arXiv:2107.02137, section 3.2), a stream for each of its objectives."""

from model_zoo.ernie3.universal.streams.distance import Distance
from model_zoo.ernie3.universal.streams.document import Documents
from model_zoo.ernie3.universal.streams.knowledge_masking import KnowledgeMasking
from model_zoo.ernie3.universal.streams.knowledge_text import KnowledgeText
from model_zoo.ernie3.universal.streams.reordering import Reordering

__all__ = ["Distance", "Documents", "KnowledgeMasking", "KnowledgeText", "Reordering"]
