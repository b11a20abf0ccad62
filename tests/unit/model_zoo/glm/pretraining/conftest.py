"""A GLM tokenizer of single letters, and corpora in memory of joined up documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.data.corpus import Corpus
from ppernie.data.corpus.corpus import Index
from ppernie.data.tokenizers import GlmTokenizer
from ppernie.data.tokenizers.glm import Cut

ROLES = ["pad", "eos", "mask", "gmask", "smask", "sop", "eop", "unk"]
CHARACTERS = [chr(code) for code in range(32, 127)]


class Letters(GlmTokenizer):
    """The special tokens, then one token for each character of ASCII."""

    def __init__(self, *, smask: bool = True) -> None:
        special = {f"{role}_token": f"<{role}>" for role in ROLES} | {"cls_token": "<eos>", "sep_token": "<eos>"}
        tokens = [f"<{role}>" for role in ROLES] + CHARACTERS
        if not smask:
            del special["smask_token"]
        super().__init__(tokens, special, [], [], strips=False)

    def save(self, folder: str | Path) -> None:
        raise NotImplementedError

    def _cut(self, texts: Sequence[str]) -> list[Cut]:
        return [([self.vocab.get(c, self.unk_id) for c in text], []) for text in texts]

    _cut_unspaced = _cut

    def _join_text(self, tokens: list[str]) -> str:
        return "".join(tokens)


@pytest.fixture(scope="session")
def letters() -> GlmTokenizer:
    return Letters()


@pytest.fixture(scope="session")
def letters_without_smask() -> GlmTokenizer:
    return Letters(smask=False)


@pytest.fixture(scope="session")
def make_corpus(letters: GlmTokenizer) -> Callable[..., Corpus]:
    """A corpus of documents, which are lists of sentences, which are numbers of random letters."""

    def make(
        documents: Sequence[Sequence[int]], source_of: Sequence[int] | None = None, weights: Sequence[float] = (1.0,)
    ) -> Corpus:
        sizes = np.asarray([size for document in documents for size in document])
        arrays: dict[str, Any] = {
            "tokens": np.random.default_rng(0).integers(len(ROLES), letters.vocab_size, sizes.sum()).astype(np.uint16),
            "sentences": np.cumsum([0, *sizes]),
            "documents": np.cumsum([0, *map(len, documents)]),
            "source_of": np.asarray(source_of or [0] * len(documents), np.uint8),
        }
        for name in ("words", "entities", "fact_names", "fact_name_offsets", "fact_tokens", "fact_words"):
            arrays[name] = np.zeros(0, np.uint8)
        arrays["fact_sentences"] = np.zeros(1, np.int64)
        index = Index(
            tokenizer="letters",
            vocab_size=letters.vocab_size,
            sources=[f"source {number}" for number in range(len(weights))],
            weights=list(weights),
            sizes={name: len(array) for name, array in arrays.items()},
            statistics={},
        )
        return Corpus(Path("memory"), index, arrays)

    return make


@pytest.fixture(scope="session")
def corpus(make_corpus: Callable[..., Corpus]) -> Corpus:
    """60 documents of 1 to 12 sentences of 1 to 40 tokens."""
    rng = np.random.default_rng(1)
    return make_corpus([rng.integers(1, 40, rng.integers(1, 13)).tolist() for _ in range(60)])
