"""Pretraining over several ranks against that of one process, on real texts: every objective's loss is the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ppernie.cli.main import main
from ppernie.data.vocabulary import character_vocabulary

STEPS, LENGTH = 6, 32
SIZES = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def run(values: dict[str, Any]) -> list[dict[str, float]]:
    """Losses and gradient norms of a run's steps."""
    from ppernie.config import parse_config
    from ppernie.engine.train import train

    train(parse_config(values))
    lines = Path(values["Global"]["output_dir"], "train_log.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [record for line in lines if (record := json.loads(line))["mode"] == "train"]
    names = {"loss", "grad_norm", *steps[0]} - {"mode", "epoch", "epochs", "iter", "iters", "eta"}
    timed = {"reader_cost", "batch_cost", "ips", "tokens_per_second"}
    return [{name: record[name] for name in names - timed} for record in steps]


@pytest.fixture
def world(tmp_path: Path, shared_data: Path) -> Path:
    """A folder with a corpus of laws and of sentences with facts, its vocabulary, and a lexicon of its n-grams."""
    with (shared_data / "laws_zh" / "laws.jsonl").open(encoding="utf-8") as file:
        laws = [json.loads(line)["text"][:4000] for line in islice(file, 20)]
    with (shared_data / "ernie_repo_samples" / "ie_clean" / "dev.json").open(encoding="utf-8") as file:
        facts = list(islice(file, 40))
    vocabulary = character_vocabulary([*laws, *facts], 3)
    vocabulary += [f"[unused{number}]" for number in range(-len(vocabulary) % 2)]  # tensor parallelism cuts it in two
    (tmp_path / "laws.jsonl").write_text("".join(json.dumps({"text": law}) + "\n" for law in laws), encoding="utf-8")
    (tmp_path / "facts.json").write_text("".join(facts), encoding="utf-8")
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8")
    config = {
        "output": str(tmp_path / "corpus"),
        "root": str(tmp_path),
        "tokenizer": {"vocab_file": str(tmp_path / "vocab.txt")},
        "cleaning": {"min_words": 2},
        "sources": [{"name": "laws", "files": "laws.jsonl", "format": "jsonl"}],
        "pairs": [{"files": "facts.json", "format": "spo"}],
    }
    (tmp_path / "corpus.yaml").write_text(json.dumps(config), encoding="utf-8")
    assert main(["preprocess", "-c", str(tmp_path / "corpus.yaml"), "--workers", "1"]) == 0
    assert main(["lexicon", str(tmp_path / "corpus"), str(tmp_path / "ngrams"), "--top", "300", "100"]) == 0
    pieces = {**config, "output": str(tmp_path / "glm_corpus"), "tokenizer": {"folder": str(tmp_path / "pieces")}}
    (tmp_path / "glm.yaml").write_text(json.dumps({**pieces, "pairs": []}), encoding="utf-8")
    assert main(["tokenizer", "-c", str(tmp_path / "glm.yaml"), str(tmp_path / "pieces"), "--vocab-size", "2000"]) == 0
    assert main(["preprocess", "-c", str(tmp_path / "glm.yaml"), "--workers", "1"]) == 0
    return tmp_path


def values(world: Path, family: str, name: str, batch_size: int, batches: int, **distributed: Any) -> dict[str, Any]:
    """The config of a small run."""
    arch, task = {"ernie3": of_ernie3, "ernie_gram": of_ernie_gram, "glm": of_glm}[family](world)
    corpus = "glm_corpus" if family == "glm" else "corpus"
    tokenizer = {"folder": "pieces"} if family == "glm" else {"vocab_file": "vocab.txt"}
    return {
        "Global": {"output_dir": str(world / name), "seed": 1, "device": "cpu", "threads": 1},
        "Arch": {**SIZES, **arch, "max_position_embeddings": LENGTH},
        "Task": task,
        "Data": {
            "root": str(world),
            "tokenizer": {key: str(world / value) for key, value in tokenizer.items()},
            "max_length": LENGTH,
            "train": {"corpus": corpus},
            "eval": {"corpus": corpus, "limit": 8},
        },
        "Optimizer": {"learning_rate": 2e-3, "epsilon": 1e-6, "clip_norm": 0.5},
        "Train": {
            "max_steps": STEPS,
            "save_every": STEPS,
            "batch_size": batch_size,
            "accumulate_steps": batches,
            "log_every": 1,
            "progressive": {"steps": 3, "length": 16},
        },
        "Distributed": distributed,
    }


def of_ernie3(world: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    branch = {"branch_hidden_size": 32, "branch_num_layers": 1, "branch_intermediate_size": 64}
    arch = {"name": "ernie3/ErnieUniversalForPretraining", "variant": "tiny", "memory_length": 16, **branch}
    return arch | vocabulary(world) | NO_DROPOUT, {"name": "ernie3/pretraining", "segments": 2}


def of_ernie_gram(world: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    arch = {"name": "ernie_gram/ErnieGramForPretraining", "variant": "ernie-gram-zh"}
    small = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    task = {"name": "ernie_gram/ngram_masking", "lexicon": str(world / "ngrams"), "output_size": 16}
    return arch | vocabulary(world) | NO_DROPOUT, {**task, "generator": small}


def of_glm(world: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """GLM-130B's kind; two windows of 32 tokens, each of two samples."""
    from ppernie.data.tokenizers import open_tokenizer

    arch = {"name": "glm/GlmForBlankInfilling", "variant": "glm-130b", "embedding_gradient": 0.5}
    size = open_tokenizer(world / "pieces").vocab_size
    dropout = {"attention_dropout_prob": 0.0, "hidden_dropout_prob": 0.0}
    return {**arch, **dropout, "vocab_size": size + size % 2}, {"name": "glm/blank_infilling", "samples": 2}


def vocabulary(world: Path) -> dict[str, Any]:
    return {"vocab_size": len((world / "vocab.txt").read_text(encoding="utf-8").splitlines())}


TOPOLOGIES = [
    ("dp2", 2, 2, {}),
    ("mp2", 2, 4, {"mp": 2}),
    ("pp2", 2, 4, {"pp": 2}),
    pytest.param("mp2-pp2", 4, 4, {"mp": 2, "pp": 2}, marks=pytest.mark.slow),
]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ernie3", "ernie_gram", "glm"])
@pytest.mark.parametrize(("name", "processes", "batch_size", "degrees"), TOPOLOGIES)
def test_losses_are_those_of_one_process(
    name: str,
    processes: int,
    batch_size: int,
    degrees: dict[str, Any],
    family: str,
    world: Path,
    launch: Callable[..., Any],
) -> None:
    alone = run(values(world, family, "alone", 4, 2))
    found = launch(run, processes, values(world, family, name, batch_size, 2, **degrees)).results[0]
    assert len(found) == len(alone) == STEPS
    assert len(alone[0]) > 4  # the objectives, each by its name
    for step, expected in zip(found, alone, strict=True):
        assert step == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_with_dropout_all_stages_know_the_same_proposals(world: Path, launch: Callable[..., Any]) -> None:
    """The last stage judges proposals that the first has read: if it made others, it could not tell them apart."""
    made = values(world, "ernie_gram", "dropout", 8, 4, pp=2)
    made["Arch"] |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    first = launch(run, 2, made).results[0]
    made["Global"]["output_dir"] += "-again"
    assert launch(run, 2, made).results[0] == first
