"""Fixtures that all tests share, among them a tiny world: words, a vocabulary, an architecture and runs over them."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie import registry
from ppernie.config import parse_config
from ppernie.config.sections import Config
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.data.vocabulary import character_vocabulary

REPOSITORY = Path(__file__).resolve().parent.parent
WORDS_OF_KIND = {
    "地名": "北京 上海市 广州 哈尔滨 乌鲁木齐市 长江 黄河流域 西藏 云南省 台北 天津港 珠江口 成都 武汉市 青海湖 长白山",
    "动词": "跑步 写 学习 打扫 飞翔 阅读 思考 游泳 修理 说话 建设 打听 奔波 跳 打开 清洗",
    "成语": "一心一意 千山万水 山清水秀 画蛇添足 海阔天空 口是心非 江山如画 学以致用",
}
WORDS = {kind: words.split() for kind, words in WORDS_OF_KIND.items()}
EXTRA = "张三李四王小明住在工作的首都是哪里。？，国人大会今天很好不我abc0123456789"
ARCH: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 32,
    "type_vocab_size": 2,
    "task_type_vocab_size": 0,
    "initializer_range": 0.1,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}


def _beside(name: str) -> Path:
    """A folder of reference material that lies beside the checkout, and is no part of it."""
    folder = Path(os.environ.get("PPERNIE_SHARED", REPOSITORY.parent / "shared")) / name
    if not folder.is_dir():
        pytest.skip(f"needs {folder}, which is not part of the repository")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data sets; skips where they are absent."""
    return _beside("data")


@pytest.fixture(scope="session")
def shared_oracles() -> Path:
    """Dumps of other implementations; skips where they are absent."""
    return _beside("oracles")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def vocabulary() -> list[str]:
    return character_vocabulary([*(word for words in WORDS.values() for word in words), EXTRA], 1)


@pytest.fixture(scope="session")
def tokenizer(vocabulary: list[str]) -> ErnieTokenizer:
    return ErnieTokenizer(vocabulary)


@pytest.fixture(scope="session")
def arch(vocabulary: list[str]) -> dict[str, Any]:
    """Fields of the tiny encoder."""
    return {"vocab_size": len(vocabulary), **ARCH}


@pytest.fixture(scope="session")
def make_task(tokenizer: ErnieTokenizer) -> Callable[..., Any]:
    """A task by name, with its options."""

    def make(name: str, max_length: int = 16, **options: Any) -> Any:
        task = registry.task_class(name)
        return task(task.Options(**options), tokenizer, max_length)

    return make


@pytest.fixture(scope="session")
def make_model(arch: dict[str, Any]) -> Callable[..., Any]:
    """A tiny network by class name, drawn from a seed, without dropout unless asked for."""

    def make(name: str, seed: int = 0, dropout: float = 0.0, **head: Any) -> Any:
        import paddle

        paddle.set_device("cpu")
        paddle.seed(seed)
        rates = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), dropout)
        name = f"ernie3/{name}"
        model = registry.arch_class(name)(registry.arch_config(name)(**(arch | rates)), **head)
        model.reset_parameters()
        return model

    return make


@pytest.fixture
def run_values(tmp_path: Path, vocabulary: list[str], arch: dict[str, Any]) -> dict[str, Any]:
    """Sections of a small run: words of three kinds, 40 to learn from (10 batches of 4) and 12 to evaluate on."""
    rows = [{"text": word, "label": kind} for kind, words in WORDS.items() for word in words]
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8")
    for name, part in (("train", rows), ("eval", rows[::4]), ("test", rows[1::5])):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return {
        "Global": {"output_dir": str(tmp_path / "run"), "seed": 7, "device": "cpu", "threads": 1},
        "Arch": {"name": "ernie3/ErnieForSequenceClassification", **arch},
        "Task": {"name": "sequence_classification"},
        "Data": {
            "root": str(tmp_path),
            "tokenizer": {"vocab_file": str(tmp_path / "vocab.txt")},
            "max_length": 16,
            **{name: {"files": f"{name}.jsonl"} for name in ("train", "eval")},
        },
        "Optimizer": {"learning_rate": 2e-3, "schedule": {"name": "linear", "warmup": 0.1}},
        "Train": {"epochs": 2, "batch_size": 4, "log_every": 1, "save_every": 5},
        "Eval": {"batch_size": 8, "every": 5},
    }


@pytest.fixture
def make_config(run_values: dict[str, Any]) -> Callable[..., Config]:
    """The small run's config with keys changed, such as ``**{"Train.epochs": 1}``."""

    def make(**changes: Any) -> Config:
        values = copy.deepcopy(run_values)
        for key, value in changes.items():
            *path, last = key.split(".")
            section = values
            for step in path:
                section = section.setdefault(step, {})
            section[last] = value
        return parse_config(values)

    return make


@pytest.fixture
def corpus_folder(tmp_path: Path, tokenizer: ErnieTokenizer) -> Path:
    """A corpus of random sentences of those words, 12 documents of 5 sentences each, with a fact beside each word."""
    from ppernie.data.corpus.building import build_corpus
    from ppernie.data.corpus.settings import CorpusConfig

    rng, words = random.Random(0), [word for kind in WORDS.values() for word in kind]
    texts = ["".join("".join(rng.choices(words, k=6)) + "。" for _ in range(5)) for _ in range(12)]
    facts = [
        {"text": f"{word}是{kind}。", "head": word, "relation": "是", "tail": kind}
        for kind, names in WORDS.items()
        for word in names
    ]
    (tmp_path / "texts.txt").write_text("\n\n".join(texts), encoding="utf-8")
    (tmp_path / "facts.jsonl").write_text("".join(json.dumps(fact) + "\n" for fact in facts), encoding="utf-8")
    values = {
        "output": str(tmp_path / "corpus"),
        "root": str(tmp_path),
        "tokenizer": {"vocab_file": "unused"},
        "segmenter": "builtins:list",
        "cleaning": {"min_words": 0},
        "sources": [{"name": "texts", "files": "texts.txt"}],
        "pairs": [{"files": "facts.jsonl"}],
    }
    build_corpus(CorpusConfig.model_validate_json(json.dumps(values), strict=True), tokenizer, 1)
    return tmp_path / "corpus"


@pytest.fixture
def records() -> Callable[[Config, str], list[dict[str, Any]]]:
    """Records of one mode in a run's ``train_log.jsonl``."""

    def read(config: Config, mode: str = "train") -> list[dict[str, Any]]:
        text = (Path(config.Global.output_dir) / "train_log.jsonl").read_text(encoding="utf-8")
        return [record for line in text.splitlines() if (record := json.loads(line))["mode"] == mode]

    return read
