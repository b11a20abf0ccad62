"""ERNIE 3.0's pretraining as a task (arXiv:2107.02137, section 3.2): five objectives, each over a stream of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from model_zoo.ernie3.universal.streams import Distance, Documents, KnowledgeMasking, KnowledgeText, Reordering
from ppernie.data.corpus.counts import log_shares, token_counts
from ppernie.data.streams import Stream
from ppernie.tasks.base import Batch, TaskOptions
from ppernie.tasks.pretraining import PretrainingTask

if TYPE_CHECKING:
    import numpy as np
    import paddle

    from model_zoo.ernie3.universal.config import UniversalConfig
    from ppernie.data.corpus import Corpus
    from ppernie.data.tokenizers import Tokenizer

_OUTPUTS = {
    "knowledge_masking": "tokens",
    "reordering": "reordering",
    "distance": "distance",
    "knowledge_text": "tokens",
    "document": "document",
}
_OVER_VOCABULARY = ("tokens", "document")


class Factors(TaskOptions):
    """Of the objectives in their sum; one of factor 0 is left out, and so is its stream."""

    knowledge_masking: float = Field(default=1.0, ge=0, description="factor of hidden words and entities")
    reordering: float = Field(default=1.0, ge=0, description="factor of the order of a paragraph's pieces")
    distance: float = Field(default=1.0, ge=0, description="factor of how far two sentences are apart")
    knowledge_text: float = Field(default=1.0, ge=0, description="factor of triples and the sentences that name them")
    document: float = Field(default=1.0, ge=0, description="factor of each next token of a document")

    @model_validator(mode="after")
    def _some_objective(self) -> Factors:
        if not any(dict(self).values()):
            raise ValueError("all factors are 0; at least one objective is needed")
        return self


class Options(TaskOptions):
    factors: Factors = Field(default=Factors(), description="factors of the objectives")
    mask_rate: float = Field(default=0.15, gt=0, lt=1, description="share of a text's tokens that are hidden")
    segments: int = Field(default=4, ge=1, description="segments of a document in a row, of Data.max_length tokens")


class UniversalPretraining(PretrainingTask):
    """The objectives of ``Factors``; those of the NLU module each take texts, ``document`` documents."""

    Options = Options
    # The ids come first: a pipeline goes by their shape.
    input_names = ("input_ids", "document_ids", "token_type_ids", "segment_length", "predicted_positions")

    def __init__(self, options: Any, tokenizer: Tokenizer, max_length: int) -> None:
        super().__init__(options, tokenizer, max_length)
        self.objectives = {name: factor for name, factor in options.factors if factor}

    @property
    def id_names(self) -> tuple[str, ...]:
        return ("input_ids", "document_ids")

    def streams(self, corpus: Corpus, arch: UniversalConfig) -> dict[str, Stream]:
        options, common = self.options, (corpus, self.tokenizer, self.max_length)
        make = {
            "knowledge_masking": lambda: KnowledgeMasking(*common, options.mask_rate),
            "reordering": lambda: Reordering(*common, arch.max_reordered),
            "distance": lambda: Distance(*common),
            "knowledge_text": lambda: KnowledgeText(*common, options.mask_rate),
            "document": lambda: Documents(*common, options.segments),
        }
        return {name: make[name]() for name in self.objectives}

    def start_values(self, corpus: Corpus, arch: UniversalConfig) -> dict[str, np.ndarray]:
        """The biases of both vocabularies' heads: the logarithms of the tokens' shares of the corpus.

        The word table, by which the heads score, would otherwise learn the shares: every word's vector moves the same
        way with each update, until words differ by little else, and a run of few updates is worse than none.
        """
        shares = log_shares(token_counts(corpus, arch.vocab_size, most_blocks=16))
        return {"nlu_head.decoder.bias": shares, "nlg_head.decoder.bias": shares}

    def losses(
        self, outputs: Mapping[str, paddle.Tensor], batch: Mapping[str, paddle.Tensor]
    ) -> dict[str, paddle.Tensor]:
        from paddle.nn import functional as F

        sums = {}
        for name in self.objectives.keys() & batch.keys():
            scores, labels = outputs[_OUTPUTS[name]], batch[name]
            if _OUTPUTS[name] in _OVER_VOCABULARY:
                sums[name] = self.cross_entropy(scores, labels)
            else:
                sums[name] = F.cross_entropy(scores, labels, reduction="sum")
        return sums

    def cross_entropy(self, logits: paddle.Tensor, labels: paddle.Tensor) -> paddle.Tensor:
        """Sum over the labels int64 [n] of scores [n, vocabulary]; a run whose ranks share these puts its own here."""
        from paddle.nn import functional as F

        return F.cross_entropy(logits, labels, reduction="sum")

    def weights(self, batch: Batch) -> dict[str, float]:
        return {name: float(len(batch[name])) for name in self.objectives if name in batch}
