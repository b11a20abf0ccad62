"""Small corpora, built with words of one character unless a test says otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ppernie.data.corpus import Corpus, building, open_corpus
from ppernie.data.corpus.building import build_corpus
from ppernie.data.corpus.encoding import SentenceEncoder
from ppernie.data.corpus.settings import CorpusConfig
from ppernie.data.tokenizers import ErnieTokenizer

CHARACTERS = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏，。！[]"


_encoder = cache(SentenceEncoder)


@pytest.fixture(autouse=True)
def _one_encoder_a_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its table takes a second to make."""
    monkeypatch.setattr(building, "SentenceEncoder", _encoder)


@pytest.fixture(scope="session")
def small_tokenizer() -> ErnieTokenizer:
    words = ["cat", "cats", "dog", "the", "##s", "mask"]
    return ErnieTokenizer(["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *CHARACTERS, *words])


@pytest.fixture(scope="session")
def chinese_tokenizer(shared_data: Path) -> ErnieTokenizer:
    return ErnieTokenizer.from_vocab(shared_data / "vocab" / "ernie3.0_base_zh_vocab.txt")


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., CorpusConfig]:
    """A config over files in the temporary folder, by default the documents of ``a.txt``, all sentences kept."""

    def make(**values: Any) -> CorpusConfig:
        defaults: dict[str, Any] = {
            "output": str(tmp_path / "corpus"),
            "root": str(tmp_path),
            "tokenizer": {"vocab_file": "unused"},
            "segmenter": "builtins:list",
            "cleaning": {"min_words": 0},
            "sources": [{"name": "a", "files": "a.txt"}],
        }
        return CorpusConfig.model_validate_json(json.dumps(defaults | values), strict=True)

    return make


@pytest.fixture
def build(make_config: Callable[..., CorpusConfig], small_tokenizer: ErnieTokenizer) -> Callable[..., Corpus]:
    """Builds and opens the corpus of such a config."""

    def run(tokenizer: ErnieTokenizer = small_tokenizer, workers: int = 1, **values: Any) -> Corpus:
        config = make_config(**values)
        build_corpus(config, tokenizer, workers)
        return open_corpus(config.output)

    return run
