"""A corpus in memory, of random sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.data.corpus import Corpus
from ppernie.data.corpus.corpus import Index
from ppernie.data.corpus.fingerprint import fingerprint
from ppernie.data.tokenizers import ErnieTokenizer

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]


@pytest.fixture(scope="session")
def letters() -> ErnieTokenizer:
    """40 tokens that are one character each."""
    return ErnieTokenizer([*SPECIAL, *(chr(ord("一") + n) for n in range(40))])


def offsets(lengths: Sequence[int]) -> np.ndarray:
    return np.cumsum([0, *lengths]).astype(np.int64)


def random_entities(words: np.ndarray, borders: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Names of one to three whole words, inside of their sentences."""
    entities = np.zeros(len(words), np.uint8)
    for first, last in zip(borders[:-1], borders[1:], strict=True):
        starts = [*(first + np.flatnonzero(words[first:last])), last]
        place = 0
        while place < len(starts) - 1:
            end = min(place + int(rng.integers(1, 4)), len(starts) - 1)
            if rng.random() < 0.3:
                entities[starts[place] : starts[end]] = 2
                entities[starts[place]] = 1
            place = end
    return entities


@pytest.fixture(scope="session")
def make_corpus(letters: ErnieTokenizer) -> Callable[..., Corpus]:
    """A corpus of documents by the lengths of their sentences, with some facts; tokens and words are random."""

    def make(
        documents: Sequence[Sequence[int]],
        facts: int = 0,
        source_of: Sequence[int] | None = None,
        weights: Sequence[float] = (1.0,),
        fact_weights: Sequence[tuple[int, float]] = (),
    ) -> Corpus:
        rng = np.random.default_rng(0)

        def ids(count: int) -> np.ndarray:
            return rng.integers(len(SPECIAL), letters.vocab_size, count).astype(np.uint16)

        def words(borders: np.ndarray) -> np.ndarray:
            flags = (rng.random(borders[-1]) < 0.6).astype(np.uint8)
            flags[borders[:-1]] = 1
            return flags

        sentences = offsets([length for document in documents for length in document])
        names, stating = offsets(rng.integers(1, 5, 3 * facts)), offsets(rng.integers(4, 20, facts))
        flags = words(sentences)
        arrays = {
            "tokens": ids(sentences[-1]),
            "words": flags,
            "entities": random_entities(flags, sentences, rng),
            "sentences": sentences,
            "documents": offsets([len(document) for document in documents]),
            "source_of": np.asarray([0] * len(documents) if source_of is None else source_of, np.uint8),
            "fact_names": ids(names[-1]),
            "fact_name_offsets": names,
            "fact_tokens": ids(stating[-1]),
            "fact_words": words(stating),
            "fact_sentences": stating,
        }
        index: dict[str, Any] = {
            "tokenizer": fingerprint(letters),
            "vocab_size": letters.vocab_size,
            "sources": [f"source {number}" for number in range(len(weights))],
            "weights": list(weights),
            "facts": list(fact_weights),
            "sizes": {name: len(array) for name, array in arrays.items()},
            "statistics": {},
        }
        return Corpus(Path("memory"), Index(**index), arrays)

    return make


@pytest.fixture(scope="session")
def corpus(make_corpus: Callable[..., Corpus]) -> Corpus:
    """40 documents of 1 to 12 sentences, and 30 facts."""
    rng = np.random.default_rng(1)
    return make_corpus([rng.integers(1, 15, rng.integers(1, 13)).tolist() for _ in range(40)], facts=30)
