"""The shipped configs of pretraining: corpora, vocabularies and networks that belong together."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_zoo.ernie_gram.config import ErnieGramConfig
from ppernie.config import load_config
from ppernie.data.corpus.settings import load_corpus_config
from ppernie.data.readers.files import resolve


@pytest.mark.parametrize(
    ("name", "language", "rel_pos_size"),
    [("ngram_base", "zh_ernie1", 0), ("ngram_tiny", "zh_ernie1", 0), ("ngram_tiny_en", "en", 33)],
)
def test_a_network_fits_its_corpora(
    repository: Path, shared_data: Path, name: str, language: str, rel_pos_size: int
) -> None:
    config = load_config(repository / "configs" / "ernie_gram" / "pretrain" / f"{name}.yaml")
    arch, data = config.Arch.model, config.Data
    assert isinstance(arch, ErnieGramConfig) and arch.rel_pos_size == rel_pos_size
    assert data.max_length <= arch.max_position_embeddings
    assert config.Task.options.lexicon == f"output/corpora/{language}.ngrams"
    assert data.tokenizer is not None and data.tokenizer.vocab_file is not None
    vocabulary = shared_data.parent / data.tokenizer.vocab_file
    assert len(vocabulary.read_text(encoding="utf-8").splitlines()) <= arch.vocab_size
    texts = []
    for source, corpus in ((data.train, language), (data.eval, f"{language}_dev")):
        made = load_corpus_config(repository / "configs" / "corpora" / f"{corpus}.yaml", [f"root={shared_data}"])
        assert source is not None and source.corpus == made.output
        assert made.tokenizer == data.tokenizer
        texts.append({path for part in made.sources for path in resolve(part.files, made.root)})
    assert not texts[0] & texts[1]
