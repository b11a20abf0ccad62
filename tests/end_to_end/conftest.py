"""A small training as users start it, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ppernie.data.vocabulary import character_vocabulary

PLACES = "北京 上海市 广州 哈尔滨 乌鲁木齐市 长江 黄河流域 西藏 云南省 台北 天津港 珠江口 成都 武汉市 青海湖 长白山"
VERBS = "跑步 写 学习 打扫 飞翔 阅读 思考 游泳 修理 说话 建设 打听 奔波 跳 打开 清洗"


@dataclass
class Training:
    """One output folder and the command that trains into it."""

    command: list[str]
    folder: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts ``tools/train.py`` in a process group of its own; its output comes line by line."""
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [*self.command, "-o", f"Global.output_dir={self.folder}", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def finish(self, *arguments: str) -> None:
        """Trains to the end."""
        process = self.start(*arguments)
        output, _ = process.communicate()
        assert process.returncode == 0, output

    def remains(self) -> dict[str, bytes]:
        """The best model's weights, and weights and moments of the newest checkpoint."""
        newest = max((self.folder / "checkpoints").iterdir())
        files = (self.folder / "best_model" / "model.safetensors", *newest.glob("*.safetensors"))
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}

    def steps(self) -> list[int]:
        """The steps in ``train_log.jsonl``."""
        lines = (self.folder / "train_log.jsonl").read_text(encoding="utf-8").splitlines()
        return [record["step"] for line in lines if (record := json.loads(line))["mode"] == "train"]


@pytest.fixture
def small_training(tmp_path: Path, repository: Path) -> Callable[[str, int], Training]:
    """A training by the name of its output folder and its number of updates."""
    rows = [*((word, "place") for word in PLACES.split()), *((word, "verb") for word in VERBS.split())]
    text = "".join(json.dumps({"text": word, "label": label}, ensure_ascii=False) + "\n" for word, label in rows)
    (tmp_path / "words.jsonl").write_text(text, encoding="utf-8")
    tokens = character_vocabulary([word for word, _ in rows], 1)
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    values: dict[str, Any] = {
        "Global": {"output_dir": "output", "device": "cpu", "threads": 1},
        "Arch": {
            "name": "ernie3/ErnieForSequenceClassification",
            "variant": "ernie-3.0-nano-zh",
            "vocab_size": len(tokens),
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": 32,
        },
        "Task": {"name": "sequence_classification"},
        "Data": {
            "root": str(tmp_path),
            "tokenizer": {"vocab_file": str(tmp_path / "vocab.txt")},
            "max_length": 16,
            "train": {"files": "words.jsonl"},
            "eval": {"files": "words.jsonl"},
        },
        "Optimizer": {"learning_rate": 1e-3},
        "Train": {"epochs": 10_000, "batch_size": 2, "log_every": 1, "save_every": 3},
        "Eval": {"every": 10, "metric": "loss"},
    }
    # JSON is YAML.
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")

    def make(name: str, steps: int) -> Training:
        script = str(repository / "tools" / "train.py")
        command = [sys.executable, "-W", "ignore", script, "-c", str(config), "-o", f"Train.max_steps={steps}"]
        return Training(command, tmp_path / name)

    return make
