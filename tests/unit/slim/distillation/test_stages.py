"""The four stages on real reviews, at toy size, and what the shipped configs say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.config import dump_config, load_config
from ppernie.config.sections import Config
from ppernie.data.corpus.building import build_corpus
from ppernie.data.corpus.settings import CorpusConfig
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.data.vocabulary import character_vocabulary
from ppernie.engine.train import train
from ppernie.errors import UserError
from ppernie.slim.distillation.stages import read_chain, run_stages, stage_config

DISTIL = Path(__file__).resolve().parents[4] / "configs" / "ernie_tiny" / "distill"
NAMES = ["general", "general_enhanced", "task_adaptive", "task_specific"]


def reviews(shared_data: Path, name: str, limit: int) -> list[str]:
    lines = (shared_data / "fewclue" / "eprstmt" / name).read_text(encoding="utf-8").splitlines()[:limit]
    return [json.loads(line)["sentence"] for line in lines]


@pytest.fixture
def chain(shared_data: Path, tmp_path: Path, arch: dict[str, Any]) -> Path:
    """The file of a chain: reviews without labels as general text, and a teacher of 4 layers trained on the others."""
    general, labelled = reviews(shared_data, "unlabeled.json", 200), reviews(shared_data, "train_few_all.json", 160)
    tokens = character_vocabulary([*general, *labelled], 1)
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    (tmp_path / "general.txt").write_text("\n\n".join(general), encoding="utf-8")
    tokenizer = {"vocab_file": str(tmp_path / "vocab.txt")}
    corpus = {
        "output": str(tmp_path / "corpus"),
        "root": str(tmp_path),
        "tokenizer": tokenizer,
        "segmenter": "builtins:list",
        "sources": [{"name": "reviews", "files": "general.txt"}],
    }
    made = CorpusConfig.model_validate_json(json.dumps(corpus), strict=True)
    build_corpus(made, ErnieTokenizer.from_vocab(tmp_path / "vocab.txt"), 1)
    few = {"files": str(shared_data / "fewclue" / "eprstmt" / "train_few_all.json"), "limit": 80}
    common: dict[str, Any] = {
        "Global": {"output_dir": "unused", "seed": 7, "device": "cpu", "threads": 1},
        "Arch": {"name": "ernie3/ErnieModel", **arch, "vocab_size": len(tokens), "num_hidden_layers": 2},
        "Data": {"tokenizer": tokenizer, "max_length": 32, "fields": {"text": "sentence"}},
        "Optimizer": {"learning_rate": 2e-3},
        "Train": {"max_steps": 6, "batch_size": 16, "log_every": 1, "save_every": 2},
        "Eval": {"every": 3},
    }
    labels: dict[str, Any] = {
        "Arch": common["Arch"] | {"name": "ernie3/ErnieForSequenceClassification"},
        "Task": {"name": "sequence_classification"},
        "Data": common["Data"] | {"train": few, "eval": few},
    }
    plain = {"Task": {"name": "masked_language_modeling"}, "Data": labels["Data"]}
    plain["Arch"] = labels["Arch"] | {"name": "ernie3/ErnieForMaskedLM", "num_hidden_layers": 4}
    teachers = {"pretrained": plain, "tuned": {**labels, "Arch": labels["Arch"] | {"num_hidden_layers": 4}}}
    for name, sections in teachers.items():
        values = common | sections | {"Global": common["Global"] | {"output_dir": str(tmp_path / name)}}
        (tmp_path / f"{name}.yaml").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
        train(load_config(tmp_path / f"{name}.yaml"))
    latent = {"hidden": {}, "attention": {}}
    pretrained, tuned = ({"teacher": str(tmp_path / name / "best_model"), **latent} for name in teachers)
    texts = {"Task": {"name": "distillation"}}
    over_corpus = {"Data": common["Data"] | dict.fromkeys(("train", "eval"), {"corpus": corpus["output"]})}
    stages: dict[str, dict[str, Any]] = {
        "general": {**texts, **over_corpus, "Slim": {"distillation": pretrained}},
        "general_enhanced": {**texts, **over_corpus, "Slim": {"distillation": tuned}},
        "task_adaptive": {**texts, "Data": labels["Data"], "Slim": {"distillation": tuned | {"augmentation": {}}}},
        "task_specific": {**labels, "Slim": {"distillation": tuned | {"soft": {}, "hard": {}}}},
    }
    for name, sections in stages.items():
        (tmp_path / f"{name}.yaml").write_text(json.dumps(common | sections, ensure_ascii=False), encoding="utf-8")
    # Later stages take the network's fields from the model that they start from.
    files = {name: {"config": f"{name}.yaml"} for name in stages}
    file = tmp_path / "chain.yaml"
    file.write_text(json.dumps({"output_dir": str(tmp_path / "run"), "stages": files}), encoding="utf-8")
    return file


def test_the_chain_runs_goes_on_and_ends(
    chain: Path, interrupt_at: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt_at(3)
    with pytest.raises(BaseException, match="saved at step 3"):
        run_stages(chain, only="general")
    with pytest.raises(UserError, match="the stage general comes before task_specific and has not ended"):
        run_stages(chain, only="task_specific")
    assert run_stages(chain, only="general")["general"]["steps"] == 6
    results = run_stages(chain)
    assert list(results) == NAMES and 0 <= results["task_specific"]["accuracy"] <= 1
    folder = chain.parent / "run"
    for before, after in zip(NAMES, NAMES[1:], strict=False):
        resolved = load_config(folder / after / "config.yaml")
        assert resolved.Global.pretrained_model == f"{folder}/{before}/best_model"
    # Only the head is new in the last stage.
    out = capsys.readouterr().out
    assert "newly initialized: ['classifier.weight', 'classifier.bias']" in out
    again = run_stages(chain)
    assert again == results
    with pytest.raises(UserError, match="has no stage specific; there are general, "):
        run_stages(chain, only="specific")


@pytest.mark.slow
def test_a_killed_stage_goes_on_to_the_bit(chain: Path, repository: Path) -> None:
    """SIGKILL at moments of the run; the last stage reads the task, and its teacher, augmented."""
    run_stages(chain)
    config = stage_config(chain, read_chain(chain), "task_specific")
    values = json.loads(json.dumps(config.resolved()))
    values["Train"] |= {"max_steps": 60, "epochs": 100}
    values["Slim"]["distillation"]["augmentation"] = {"share": 1.0}
    (chain.parent / "last.yaml").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    tool = [
        sys.executable,
        "-W",
        "ignore",
        str(repository / "tools" / "train.py"),
        "-c",
        str(chain.parent / "last.yaml"),
    ]

    def command(folder: str) -> list[str]:
        return [*tool, "-o", f"Global.output_dir={chain.parent / folder}"]

    subprocess.run(command("whole"), check=True, capture_output=True)
    for _ in range(3):
        process = subprocess.Popen(
            [*command("killed"), "--resume", "auto"], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stdout is not None
        next(line for line in process.stdout if "[Train]" in line)
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    subprocess.run([*command("killed"), "--resume", "auto"], check=True, capture_output=True)
    for file in ("best_model/model.safetensors", "checkpoints/step_00000060/rank_00000.safetensors"):
        assert (chain.parent / "whole" / file).read_bytes() == (chain.parent / "killed" / file).read_bytes()


@pytest.mark.parametrize("path", sorted(DISTIL.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_config_loads(path: Path, tmp_path: Path) -> None:
    config: Config = load_config(path)
    (tmp_path / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    assert load_config(tmp_path / "config.yaml") == config
    assert config.Slim.distillation is not None


@pytest.mark.parametrize("path", sorted(DISTIL.glob("stages/*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_chain_is_of_configs_that_load(path: Path) -> None:
    chain = read_chain(path)
    assert list(chain.stages) == NAMES
    for name in NAMES:
        config = stage_config(path, chain, name)
        assert config.Slim.distillation is not None
        last = name == "task_specific"
        assert (config.Slim.distillation.soft is not None) == last == (config.Task.name != "distillation")
