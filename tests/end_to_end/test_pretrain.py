"""Pretraining as a user runs it: real texts and facts to a corpus, every loss falls, and a kill changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.data.vocabulary import character_vocabulary

OBJECTIVES = {
    "ernie3": ("knowledge_masking", "reordering", "distance", "knowledge_text", "document"),
    "ernie_gram": ("tokens", "identities", "generator", "original"),
}
# Two sentences say little to a network this small; of chance, ln 3, a few steps bring it no lower. That of the 9 orders
# is 2.2.
# They begin at the loss of the tokens' frequencies; two evaluations have the same samples, and two steps have not.
AT_FREQUENCIES = {"knowledge_masking", "document"}
BOUNDS = {"distance": 1.2, "reordering": 2.1}
STEPS, SAVE_EVERY = 56, 8
LENGTH = 32


def lines(path: Path, count: int) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from islice(file, count)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, repository: Path, shared_data: Path) -> Path:
    """A folder with a corpus of laws and poems in part and of facts, a lexicon of it, and its characters."""
    folder = tmp_path_factory.mktemp("world")
    laws = [json.loads(line)["text"][:4000] for line in lines(shared_data / "laws_zh" / "laws.jsonl", 30)]
    poems = [json.loads(line)["paragraphs"] for line in lines(shared_data / "chinese_poetry" / "宋词.jsonl", 200)]
    facts = list(lines(shared_data / "ernie_repo_samples" / "ie_clean" / "dev.json", 60))
    files = {
        "laws.jsonl": [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in laws],
        "poems.jsonl": [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in poems],
        "facts.json": facts,
        "vocab.txt": [f"{token}\n" for token in character_vocabulary([*laws, *sum(poems, []), *facts], 3)],
        "corpus.yaml": [json.dumps(corpus_config(folder))],  # JSON is YAML
    }
    for name, content in files.items():
        (folder / name).write_text("".join(content), encoding="utf-8")
    finish(start(repository, "preprocess", "-c", str(folder / "corpus.yaml"), "--workers", "1"))
    finish(start(repository, "lexicon", str(folder / "corpus"), str(folder / "ngrams"), "--top", "300", "100"))
    return folder


def start(repository: Path, command: str, *arguments: str) -> subprocess.Popen[str]:
    """Starts a command of the repository in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "ppernie.cli.main", command, *arguments],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate()
    assert process.returncode == 0, output


def corpus_config(world: Path) -> dict[str, Any]:
    return {
        "output": str(world / "corpus"),
        "root": str(world),
        "tokenizer": {"vocab_file": str(world / "vocab.txt")},
        "cleaning": {"min_words": 2},
        "sources": [
            {"name": "laws", "files": "laws.jsonl", "format": "jsonl"},
            {"name": "poems", "files": "poems.jsonl", "format": "jsonl", "weight": 2.0},
        ],
        "pairs": [{"files": "facts.json", "format": "spo"}],
    }


def run_config(world: Path, family: str, output: str) -> dict[str, Any]:
    arch, task = {"ernie3": of_ernie3, "ernie_gram": of_ernie_gram}[family](world)
    vocabulary = (world / "vocab.txt").read_text(encoding="utf-8").count("\n")
    sizes = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
    return {
        "Global": {"output_dir": str(world / output), "seed": 1, "device": "cpu", "threads": 1},
        "Arch": {**arch, **sizes, "vocab_size": vocabulary, "max_position_embeddings": LENGTH},
        "Task": task,
        "Data": {
            "root": str(world),
            "tokenizer": {"vocab_file": str(world / "vocab.txt")},
            "max_length": LENGTH,
            "train": {"corpus": "corpus"},
            "eval": {"corpus": "corpus", "limit": 64},
        },
        "Optimizer": {"learning_rate": 5e-3, "schedule": {"warmup": 5}},
        "Train": {
            "max_steps": STEPS,
            "batch_size": 8,
            "log_every": 1,
            "save_every": SAVE_EVERY,
            "progressive": {"steps": 12, "length": 16, "batch_size": 4},
        },
        "Eval": {"every": SAVE_EVERY, "batch_size": 32},
    }


def of_ernie3(world: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    branch = {"branch_hidden_size": 32, "branch_num_layers": 1, "branch_intermediate_size": 64}
    arch = {"name": "ernie3/ErnieUniversalForPretraining", "variant": "tiny", "memory_length": 16}
    return arch | branch, {"name": "ernie3/pretraining", "segments": 3}


def of_ernie_gram(world: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    generator = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    arch = {"name": "ernie_gram/ErnieGramForPretraining", "variant": "ernie-gram-zh"}
    task = {"name": "ernie_gram/ngram_masking", "lexicon": str(world / "ngrams"), "output_size": 24}
    return arch, task | {"generator": generator}


def remains(folder: Path) -> dict[str, bytes]:
    """The best model's weights, and weights and moments of the newest checkpoint."""
    newest = max((folder / "checkpoints").iterdir())
    files = (folder / "best_model" / "model.safetensors", *newest.glob("*.safetensors"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def records(folder: Path, mode: str) -> list[dict[str, Any]]:
    text = (folder / "train_log.jsonl").read_text(encoding="utf-8")
    return [record for line in text.splitlines() if (record := json.loads(line))["mode"] == mode]


@pytest.mark.parametrize("family", OBJECTIVES)
def test_from_texts_to_a_network_through_a_kill(family: str, world: Path, repository: Path) -> None:
    def train(output: str) -> subprocess.Popen[str]:
        config = world / f"{output}.yaml"
        config.write_text(json.dumps(run_config(world, family, output)), encoding="utf-8")
        return start(repository, "train", "-c", str(config), "--resume", "auto")

    whole, killed = f"{family}_whole", f"{family}_killed"
    finish(train(whole))
    trained = records(world / whole, "train")
    assert [record["step"] for record in trained] == list(range(1, STEPS + 1))
    for name in set(OBJECTIVES[family]) - AT_FREQUENCIES:
        losses = [record[name] for record in trained]
        assert np.mean(losses[-10:]) < BOUNDS.get(name, 0.96 * np.mean(losses[:5])), (name, losses)
    for record in trained:
        assert record["loss"] == pytest.approx(sum(record[name] for name in OBJECTIVES[family]), rel=1e-5)
    first, *_, last = records(world / whole, "eval")
    assert first.keys() >= {"loss", *OBJECTIVES[family]}
    assert last["loss"] < first["loss"]
    for name in AT_FREQUENCIES & set(OBJECTIVES[family]):
        assert last[name] < 0.995 * first[name], name

    process = train(killed)
    assert process.stdout
    for line in process.stdout:
        if f"{2 * SAVE_EVERY + 3}/" in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    finish(train(killed))
    assert remains(world / killed) == remains(world / whole)
    assert [record["step"] for record in records(world / killed, "train")] == list(range(1, STEPS + 1))
