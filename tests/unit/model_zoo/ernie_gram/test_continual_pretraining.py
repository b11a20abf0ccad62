"""A run that pretrains on n-grams on, from a plain encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie import registry
from ppernie.config.sections import Config
from ppernie.data.corpus.fingerprint import fingerprint
from ppernie.data.corpus.lexicon import Lexicon
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.engine.train import train
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import read_weights, save_model

ENCODER = "ernie_gram/ErnieGramModel"
GENERATOR = {"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture
def encoder(tmp_path: Path, tokenizer: ErnieTokenizer, arch: dict[str, Any]) -> Path:
    import paddle

    paddle.seed(0)
    fields = arch | {"rel_pos_size": 0}
    model = registry.arch_class(ENCODER)(registry.arch_config(ENCODER)(**fields))
    model.reset_parameters()
    description = ModelDescription(arch={"name": ENCODER, **fields}, task=None, max_length=32)
    weights = {name: parameter.numpy() for name, parameter in model.named_parameters()}
    save_model(tmp_path / "encoder", weights, description, tokenizer, {})
    return tmp_path / "encoder"


@pytest.fixture
def lexicon(tmp_path: Path, tokenizer: ErnieTokenizer) -> Path:
    words = ("北京", "长江", "打听", "上海市", "天津港")
    ids = [[tokenizer.token_to_id(character) for character in word] for word in words]
    tables = tuple(np.array([word for word in ids if len(word) == n], np.int64) for n in (2, 3))
    Lexicon(tables, tokenizer.vocab_size, fingerprint(tokenizer)).save(tmp_path / "ngrams")
    return tmp_path / "ngrams"


def test_pretraining_goes_on_from_an_encoder(
    make_config: Callable[..., Config],
    records: Callable[..., list[dict[str, Any]]],
    encoder: Path,
    lexicon: Path,
    corpus_folder: Path,
    tmp_path: Path,
) -> None:
    """At a learning rate of next to nothing it ends with the encoder that it took; all else is new."""
    config = make_config(
        **{
            "Global.pretrained_model": str(encoder),
            "Arch": {"name": "ernie_gram/ErnieGramForPretraining"},
            "Task": {"name": "ernie_gram/ngram_masking", "lexicon": str(lexicon), "generator": GENERATOR},
            "Data.tokenizer": None,
            "Data.train": {"corpus": str(corpus_folder)},
            "Data.eval": None,
            "Optimizer.learning_rate": 1e-30,
            "Train.max_steps": 2,
        }
    )
    train(config)
    objectives = ("tokens", "identities", "generator", "original")
    assert all(np.isfinite(record[name]) for record in records(config) for name in objectives)
    before, after = read_weights(encoder), read_weights(tmp_path / "run" / "best_model")
    for name, tensor in before.items():
        np.testing.assert_allclose(np.asarray(after[f"backbone.{name}"]), np.asarray(tensor), rtol=0, atol=1e-20)
    log = (tmp_path / "run" / "train.log").read_text(encoding="utf-8")
    new = next(line for line in log.splitlines() if "newly initialized" in line)
    assert "generator." in new and "backbone." not in new
