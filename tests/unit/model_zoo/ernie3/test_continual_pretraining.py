"""A run that pretrains the paper's network on, from a plain encoder."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_zoo.ernie3.universal.config import VARIANTS
from ppernie.config.sections import Config
from ppernie.data.corpus import open_corpus
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.engine.train import train
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import read_weights, save_model

OBJECTIVES = ["knowledge_masking", "reordering", "distance", "knowledge_text", "document"]
TABLES = ("word_embeddings.weight", "token_type_embeddings.weight", "layer_norm.weight")
ALIKE = ("feed_forward.linear1.weight", "feed_forward.linear2.bias", "self_attn.out_proj.weight", "norm2.weight")


@pytest.fixture
def encoder(tmp_path: Path, tokenizer: ErnieTokenizer, arch: dict[str, Any], make_model: Callable[..., Any]) -> Path:
    model = make_model("ErnieForMaskedLM")
    description = ModelDescription(arch={"name": "ernie3/ErnieForMaskedLM", **arch}, task=None, max_length=32)
    weights = {name: parameter.numpy() for name, parameter in model.named_parameters()}
    save_model(tmp_path / "encoder", weights, description, tokenizer, {})
    return tmp_path / "encoder"


def shares(folder: Path, arch: dict[str, Any]) -> np.ndarray:
    """Logarithms of the tokens' shares of a corpus; what it lacks counts as half a token."""
    counts = [0.0] * arch["vocab_size"]
    for token in open_corpus(folder).tokens.tolist():
        counts[token] += 1
    counts = [count or 0.5 for count in counts]
    return np.log(np.array(counts) / sum(counts)).astype(np.float32)


def test_pretraining_goes_on_from_an_encoder(
    make_config: Callable[..., Config],
    records: Callable[..., list[dict[str, Any]]],
    arch: dict[str, Any],
    encoder: Path,
    corpus_folder: Path,
    tmp_path: Path,
) -> None:
    """At a learning rate of next to nothing it ends with what it took: words, types and layers."""
    sizes = {"branch_hidden_size": 8, "branch_num_layers": 1, "branch_num_heads": 2, "branch_intermediate_size": 16}
    config = make_config(
        **{
            "Global.pretrained_model": str(encoder),
            "Arch": {"name": "ernie3/ErnieUniversalForPretraining", **VARIANTS["tiny"], **arch, **sizes},
            "Task": {"name": "ernie3/pretraining", "segments": 2},
            "Data.tokenizer": None,
            "Data.train": {"corpus": str(corpus_folder)},
            "Data.eval": {"corpus": str(corpus_folder), "limit": 8},
            "Optimizer.learning_rate": 1e-30,
            "Train.max_steps": 2,
        }
    )
    train(config)
    assert all(np.isfinite(record[name]) for record in records(config) for name in OBJECTIVES)
    before = {name: np.asarray(tensor) for name, tensor in read_weights(encoder).items()}
    after = {name: np.asarray(tensor) for name, tensor in read_weights(tmp_path / "run" / "best_model").items()}
    expected = {f"embeddings.{name}": before[f"backbone.embeddings.{name}"] for name in TABLES}
    for layer in range(2):
        ours, theirs = f"trunk.layers.{layer}", f"backbone.encoder.layers.{layer}"
        expected |= {f"{ours}.{name}": before[f"{theirs}.{name}"] for name in ALIKE}
        by_head = before[f"{theirs}.self_attn.qkv_proj.weight"].reshape(16, 2, 3, 8)
        expected[f"{ours}.self_attn.q_proj.weight"] = by_head[:, :, 0].reshape(16, 16)
        expected[f"{ours}.self_attn.kv_proj.weight"] = by_head[:, :, 1:].reshape(16, 32)
    expected |= {f"{head}.decoder.bias": shares(corpus_folder, arch) for head in ("nlu_head", "nlg_head")}
    for name, array in expected.items():
        np.testing.assert_allclose(after[name], array, rtol=0, atol=1e-20, err_msg=name)
    log = (tmp_path / "run" / "train.log").read_text(encoding="utf-8")
    assert "for the trunk layers 0 to 1; all else is drawn" in log
    (new,) = (line.partition("newly initialized: ")[2] for line in log.splitlines() if "newly initialized" in line)
    relative = ("r_proj", "content_bias", "position_bias")
    trunk = {name for name in ast.literal_eval(new) if name.startswith(("embeddings.", "trunk."))}
    assert trunk == {f"trunk.layers.{layer}.self_attn.{part}.weight" for layer in range(2) for part in relative}


def test_what_a_head_has_learned_stays(
    make_config: Callable[..., Config], arch: dict[str, Any], corpus_folder: Path, tmp_path: Path
) -> None:
    sizes = {"branch_hidden_size": 8, "branch_num_layers": 1, "branch_num_heads": 2, "branch_intermediate_size": 16}

    def biases(**changes: Any) -> dict[str, np.ndarray]:
        values = {
            "Arch": {"name": "ernie3/ErnieUniversalForPretraining", **VARIANTS["tiny"], **arch, **sizes},
            "Task": {"name": "ernie3/pretraining", "segments": 2},
            "Data.train": {"corpus": str(corpus_folder)},
            "Data.eval": None,
            "Train.max_steps": 2,
        }
        train(make_config(**values | changes))
        folder = Path(changes["Global.output_dir"], "best_model")
        return {n: np.asarray(tensor) for n, tensor in read_weights(folder).items() if n.endswith("decoder.bias")}

    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    learned = biases(**{"Global.output_dir": first, "Optimizer.learning_rate": 0.1})
    assert all(np.abs(bias - shares(corpus_folder, arch)).max() > 0.01 for bias in learned.values())
    again = {"Global.pretrained_model": f"{first}/best_model", "Data.tokenizer": None, "Optimizer.learning_rate": 1e-30}
    kept = biases(**{"Global.output_dir": second, **again})
    assert len(learned) == 2 and all(np.array_equal(kept[name], bias) for name, bias in learned.items())
