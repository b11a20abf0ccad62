"""A small corpus in memory, a lexicon over it, and networks of two layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ppernie.data.corpus.draws import Draws
from ppernie.data.corpus.fingerprint import fingerprint
from ppernie.data.corpus.lexicon import Lexicon
from ppernie.data.tokenizers import ErnieTokenizer

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]
LETTERS = "abcdefghijklmnopqrst"


@dataclass
class MemoryCorpus:
    """What of ``ppernie.data.corpus.Corpus`` pretraining on n-grams uses."""

    tokens: np.ndarray
    sentences: np.ndarray
    documents: np.ndarray

    def check(self, tokenizer: ErnieTokenizer) -> None:
        assert tokenizer.vocab_size > self.tokens.max()

    def windows(self, length: int) -> np.ndarray:
        """Each document as one window."""
        return np.stack([self.documents[:-1], self.documents[1:]], axis=1)

    def sizes(self, windows: np.ndarray) -> np.ndarray:
        return np.diff(self.sentences[windows])[:, 0]

    def draws(self, sentences: np.ndarray) -> Draws:
        """Each text once a pass."""
        return Draws(np.zeros(len(sentences), np.int64), (1.0,))


@pytest.fixture(scope="session")
def letters() -> ErnieTokenizer:
    """Every letter is a token."""
    return ErnieTokenizer([*SPECIAL, *LETTERS])


@pytest.fixture(scope="session")
def make_corpus() -> Callable[..., MemoryCorpus]:
    """A corpus of documents, each a list of sentences, each a list of ids."""

    def make(documents: Sequence[Sequence[Sequence[int]]]) -> MemoryCorpus:
        sentences = [sentence for document in documents for sentence in document]
        return MemoryCorpus(
            np.array([token for sentence in sentences for token in sentence], np.uint16),
            np.cumsum([0, *map(len, sentences)]),
            np.cumsum([0, *map(len, documents)]),
        )

    return make


@pytest.fixture(scope="session")
def make_lexicon(letters: ErnieTokenizer) -> Callable[..., Lexicon]:
    """A lexicon of words such as "ab"."""

    def make(*words: str, longest: int = 3) -> Lexicon:
        ids = [[letters.token_to_id(letter) for letter in word] for word in words]
        tables = [[word for word in ids if len(word) == n] for n in range(2, longest + 1)]
        arrays = tuple(np.array(table, np.int64).reshape(-1, n) for n, table in enumerate(tables, start=2))
        return Lexicon(arrays, letters.vocab_size, fingerprint(letters))

    return make


@pytest.fixture(scope="session")
def gram(letters: ErnieTokenizer) -> SimpleNamespace:
    """``config`` and ``build``, which makes the network for pretraining, drawn and in evaluation mode."""
    import paddle

    from model_zoo.ernie_gram.config import ErnieGramConfig
    from model_zoo.ernie_gram.pretraining.config import PretrainingConfig
    from model_zoo.ernie_gram.pretraining.modeling import ErnieGramForPretraining

    def config(rel_pos_size: int = 0) -> ErnieGramConfig:
        return ErnieGramConfig(
            vocab_size=letters.vocab_size + 3,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=40,
            hidden_act="gelu",
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            max_position_embeddings=64,
            type_vocab_size=2,
            initializer_range=0.2,
            layer_norm_eps=1e-5,
            pad_token_id=letters.pad_id,
            rel_pos_size=rel_pos_size,
        )

    def build(
        prediction: str = "comprehensive", generator: bool = False, rel_pos_size: int = 0, num_ngrams: Any = (6, 4)
    ) -> ErnieGramForPretraining:
        paddle.set_device("cpu")
        paddle.seed(0)
        sizes = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}
        pretraining = PretrainingConfig(prediction=prediction, output_size=12, generator=sizes if generator else None)
        model = ErnieGramForPretraining(config(rel_pos_size), pretraining, letters.vocab_size, num_ngrams)
        model.reset_parameters()
        model.eval()
        return model

    return SimpleNamespace(config=config, build=build)
