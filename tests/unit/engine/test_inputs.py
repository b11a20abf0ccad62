"""What tells a run that its corpus or lexicon is another one now."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.config import Config, parse_config
from ppernie.data.corpus.building import build_corpus
from ppernie.data.corpus.lexicon import Lexicon
from ppernie.data.corpus.settings import CorpusConfig
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.engine.inputs import input_digests

TOKENS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *"abcdef"]


@pytest.fixture
def build(tmp_path: Path) -> Callable[[str], None]:
    """Makes the corpus of this text, in place of one that is there."""

    def make(text: str) -> None:
        (tmp_path / "text.txt").write_text(text, encoding="utf-8")
        shutil.rmtree(tmp_path / "corpus", ignore_errors=True)
        values = {
            "output": str(tmp_path / "corpus"),
            "root": str(tmp_path),
            "cleaning": {"min_words": 0},
            "sources": [{"name": "text", "files": "text.txt"}],
        }
        build_corpus(CorpusConfig(**values), ErnieTokenizer(TOKENS), 1)

    return make


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A pretraining with a lexicon."""
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in TOKENS), encoding="utf-8")
    values: dict[str, Any] = {
        "Global": {"output_dir": "unused"},
        "Arch": {"name": "ernie_gram/ErnieGramForPretraining", "variant": "ernie-gram-zh"},
        "Task": {"name": "ernie_gram/ngram_masking", "lexicon": str(tmp_path / "lexicon")},
        "Data": {
            "root": str(tmp_path),
            "tokenizer": {"vocab_file": str(tmp_path / "vocab.txt")},
            "train": {"corpus": "corpus"},
        },
        "Optimizer": {"learning_rate": 1e-4},
        "Train": {"batch_size": 2, "max_steps": 2, "save_every": 2},
    }
    return parse_config(values)


def test_a_corpus_and_a_lexicon_are_known_by_content(
    build: Callable[[str], None], config: Config, tmp_path: Path
) -> None:
    def lexicon(*bigrams: list[int]) -> None:
        Lexicon((np.array(bigrams),), len(TOKENS), "").save(tmp_path / "lexicon")

    assert {Path(path).name for path in input_digests(config)} == {"vocab.txt"}
    build("a b c\n\nd e f\n")
    lexicon([5, 6])
    first = input_digests(config)
    assert {Path(path).name for path in first} == {"corpus.json", "lexicon", "vocab.txt"}
    build("a b c\n\nd e f\n")
    lexicon([5, 6])
    assert input_digests(config) == first
    # As many tokens, words and sentences as before, but others.
    build("a b c\n\nd e b\n")
    changed = input_digests(config)
    assert {Path(path).name for path in first if changed[path] != first[path]} == {"corpus.json"}
    lexicon([5, 7])
    assert {Path(path).name for path in first if input_digests(config)[path] != changed[path]} == {"lexicon"}
