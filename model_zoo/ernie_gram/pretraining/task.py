"""ERNIE-Gram's pretraining as a task: units of a lexicon are hidden and predicted (arXiv:2010.12148, section 3).

Three ways to predict them build on one another: ``contiguous``, as masked language modelling does it, token by token;
``explicit``, each as one class; ``comprehensive``, as one class and token by token from the same context. To the last
two a generator can be added, which puts likely n-grams in place of the masks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, model_validator

from model_zoo.ernie_gram.pretraining.config import PretrainingConfig
from model_zoo.ernie_gram.pretraining.data import choose_units, collate, mask_tokens, mask_units, query_tokens
from model_zoo.ernie_gram.pretraining.segmentation import segment
from ppernie.data.corpus.lexicon import Lexicon, open_lexicon
from ppernie.data.corpus.windows import Windows
from ppernie.data.streams import Stream
from ppernie.tasks.base import Batch, Features, TaskOptions
from ppernie.tasks.pretraining import PretrainingTask

if TYPE_CHECKING:
    import paddle

    from ppernie.data.corpus import Corpus
    from ppernie.data.tokenizers import Tokenizer


class Options(TaskOptions, PretrainingConfig):
    lexicon: str | None = Field(
        default=None,
        description="file of n-grams, made by ppernie lexicon with the tokenizer of the run; null, with prediction "
        "contiguous, hides tokens one by one",
    )
    mask_rate: float = Field(default=0.15, gt=0, lt=1, description="share of the units that are hidden")
    original_weight: float = Field(
        default=1.0, gt=0, description="factor of the loss over which symbols are the text's own; with a generator"
    )

    @model_validator(mode="after")
    def _units_come_from_a_lexicon(self) -> Options:
        if self.lexicon is None and self.prediction != "contiguous":
            raise ValueError(f"prediction {self.prediction} needs a lexicon; make one with ppernie lexicon")
        return self

    def reads(self) -> list[str]:
        return [] if self.lexicon is None else [self.lexicon]


class NgramStream(Stream):
    """Windows of a corpus with some of their units hidden.

    Args:
        longest: tokens of the longest sample; a shorter one is a random part of its window.
    """

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, lexicon: Lexicon, options: Options, longest: int) -> None:
        self._corpus, self._tokenizer, self._lexicon, self._options = corpus, tokenizer, lexicon, options
        self._windows = Windows(corpus, longest - 2)

    def __len__(self) -> int:
        return len(self._windows)

    def sample(self, index: int, length: int, rng: np.random.Generator) -> Features:
        tokens, begins = self._text(index, length - 2, rng)
        units = segment(tokens, begins, self._lexicon)
        chosen = choose_units(len(units.starts), self._options.mask_rate, rng)
        if self._options.prediction == "contiguous":
            return mask_tokens(tokens, units, chosen, self._tokenizer)
        features = mask_units(tokens, units, chosen, self._tokenizer)
        if self._options.prediction == "comprehensive":
            features |= query_tokens(tokens, units, chosen)
        if self._options.generator is not None:
            features["draws"] = rng.random(len(chosen), dtype=np.float32)
        return features

    def sizes(self, indices: np.ndarray, length: int) -> np.ndarray:
        return self._windows.sizes(indices, length - 2)

    def collate(self, features: Sequence[Features], length: int) -> Batch:
        return collate(features, self._tokenizer)

    def _text(self, index: int, room: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of a window, at most ``room``, and which of them begin a sentence."""
        part, borders = self._windows.part(index, room, rng)
        tokens = np.asarray(self._corpus.tokens[part], dtype=np.int64)
        begins = np.zeros(len(tokens), bool)
        begins[borders[(borders >= part.start) & (borders < part.stop)] - part.start] = True
        return tokens, begins


class NgramMasking(PretrainingTask):
    """Units of a lexicon, hidden and predicted.

    Objectives: ``tokens`` (of hidden units), ``identities`` (of hidden units, as one class each), ``generator`` (the
    same, its own) and ``original`` (whether each symbol of the text is its own or the generator's).
    """

    Options = Options
    input_names = ("input_ids", "position_ids", "query_ids", "query_positions", "draws")

    def __init__(self, options: Any, tokenizer: Tokenizer, max_length: int) -> None:
        super().__init__(options, tokenizer, max_length)
        if options.lexicon is None:
            self._lexicon = Lexicon.empty(tokenizer)
        else:
            self._lexicon = open_lexicon(Path(options.lexicon))
            self._lexicon.check(tokenizer)
        factors = {
            "tokens": float(options.prediction != "explicit"),
            "identities": float(options.prediction != "contiguous"),
            "generator": float(options.generator is not None),
            "original": options.original_weight if options.generator else 0.0,
        }
        self.objectives = {name: factor for name, factor in factors.items() if factor}

    def head(self) -> dict[str, Any]:
        return {
            "pretraining": self.options,
            "num_tokens": self.tokenizer.vocab_size,
            "num_ngrams": tuple(map(len, self._lexicon.ngrams)),
        }

    def streams(self, corpus: Corpus, arch: Any) -> dict[str, Stream]:
        return {"ngrams": NgramStream(corpus, self.tokenizer, self._lexicon, self.options, self.max_length)}

    def losses(
        self, outputs: Mapping[str, paddle.Tensor], batch: Mapping[str, paddle.Tensor]
    ) -> dict[str, paddle.Tensor]:
        from model_zoo.ernie_gram.pretraining.objectives import losses

        return losses(outputs, batch, self.tokenizer.pad_id)

    def weights(self, batch: Batch) -> dict[str, float]:
        units = {"tokens": "tokens", "identities": "identities", "generator": "identities"}
        sizes = {name: float(len(batch[units[name]])) for name in self.objectives if name in units}
        if "original" in self.objectives:
            # Queries stand in no text; all of them are hidden tokens.
            read = (batch["input_ids"] != self.tokenizer.pad_id).sum() - len(batch.get("query_positions", ()))
            sizes["original"] = float(read)
        return sizes
