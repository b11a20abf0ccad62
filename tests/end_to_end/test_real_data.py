"""Every fine-tuning config on the real data it is for, on a shrunken network: train, evaluate, export, predict."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ppernie.cli.main import main

SAMPLES = "ernie_repo_samples"
SMALL = [
    "Arch.num_hidden_layers=1",
    "Arch.hidden_size=24",
    "Arch.num_attention_heads=2",
    "Arch.intermediate_size=24",
    "Train.max_steps=3",
    "Train.batch_size=8",
    "Data.workers=0",
    "Data.train.limit=40",
    "Data.eval.limit=20",
]
# Where the data lies, and what differs from the full data sets that the configs name.
PLACES: dict[str, tuple[str, list[str]]] = {
    "tnews": ("fewclue/tnews", ["Data.train.limit=1185"]),
    "eprstmt": ("fewclue/eprstmt", []),
    "bustm": ("fewclue/bustm", []),
    "ocnli": ("fewclue/ocnli", []),
    "csl": ("fewclue/csl", []),
    "cluewsc": ("fewclue/cluewsc", []),
    "chid": ("fewclue/chid", []),
    "cmrc2018": ("cmrc2018", ["Data.train.files=cmrc2018_trial.json", "Data.eval.files=cmrc2018_trial.json"]),
    "drcd": ("drcd", ["Data.train.files=DRCD_dev.json"]),
    "pair_matching": (f"{SAMPLES}/text_matching/data", []),
    "pair_matching_dual": (f"{SAMPLES}/text_matching/data", []),
    "stsb": ("stsb_en_zh", []),
    "chnsenticorp": (
        f"{SAMPLES}/text_classification/data",
        [
            "Data.train={files: train_data/train.txt, format: tsv, columns: [text, label], limit: 40}",
            "Data.eval={files: dev_data/dev_1.txt, format: tsv, columns: [text, label], limit: 40}",
        ],
    ),
    "msra_ner": (
        f"{SAMPLES}/sequence_labeling/data/msra_ner",
        [
            "Data.fields={}",
            "Data.train={files: train/train.tsv, format: conll, limit: 40}",
            "Data.eval={files: dev/dev.tsv, format: conll, limit: 40}",
        ],
    ),
}
QUESTIONS = {
    "chid": {
        "text": "他做事#idiom#，从不马虎。",
        "choices": ["一丝不苟", "马马虎虎", "三心二意", "一举两得"] + ["画蛇添足"] * 3,
    },
    "cmrc2018": {"question": "谁开发了它？", "context": "这款游戏由盛大游戏在上海开发，于2003年发行。"},
    "drcd": {"question": "誰開發了它？", "context": "這款遊戲由盛大遊戲在上海開發，於2003年發行。"},
}
ANSWERS = {
    "msra_ner": {"entities", "tokens", "tags"},
    "chid": {"choice", "text", "score", "scores"},
    "cmrc2018": {"answer", "start", "end", "score"},
    "drcd": {"answer", "start", "end", "score"},
    "stsb": {"score"},
    "pair_matching": {"score", "similar"},
    "pair_matching_dual": {"score", "similar"},
}


def test_no_config_is_left_out(repository: Path) -> None:
    # Those of the paper's own network follow a pretraining run, and have tests of their own.
    configs = (repository / "configs/ernie3/finetune").glob("[!u]*.yaml")
    assert {path.stem for path in configs} == {*PLACES, "eprstmt_lora"}


@pytest.fixture
def arguments(repository: Path, shared_data: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Arguments of a command for a config, shrunken."""

    def make(name: str, place: str, output: str = "run") -> list[str]:
        root, changes = PLACES[place]
        return [
            "-c",
            str(repository / "configs/ernie3/finetune" / f"{name}.yaml"),
            "-o",
            *SMALL,
            *changes,
            f"Data.root={shared_data / root}",
            f"Data.tokenizer.vocab_file={shared_data / 'vocab/ernie3.0_base_zh_vocab.txt'}",
            f"Global.output_dir={tmp_path / output}",
        ]

    return make


def test_an_adapter_learns_on_a_network(arguments: Callable[..., list[str]], tmp_path: Path) -> None:
    assert main(["train", *arguments("eprstmt", "eprstmt")]) == 0
    config = arguments("eprstmt_lora", "eprstmt", "adapted")
    assert main(["train", *config, f"Global.pretrained_model={tmp_path / 'run' / 'best_model'}"]) == 0
    assert (tmp_path / "adapted" / "best_model" / "model.safetensors").exists()


@pytest.mark.parametrize("name", PLACES)
def test_from_config_to_prediction(name: str, arguments: Callable[..., list[str]], tmp_path: Path) -> None:
    config = arguments(name, name)
    assert main(["train", *config]) == 0
    assert main(["export_model", *config]) == 0
    question = QUESTIONS.get(name, {"text": "北京的天气很好", "text_pair": "今天北京天气不错"})
    (tmp_path / "input.jsonl").write_text(json.dumps(question) + "\n", encoding="utf-8")
    answers = {}
    for model in ("best_model", "export"):
        output = tmp_path / f"{model}.jsonl"
        files = ["--input", str(tmp_path / "input.jsonl"), "--output", str(output)]
        assert main(["predict", "--model", str(tmp_path / "run" / model), *files]) == 0
        (answers[model],) = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    assert set(answers["export"]) == set(answers["best_model"]) == ANSWERS.get(name, {"label", "score", "scores"})
    if "score" in answers["export"]:
        assert answers["export"]["score"] == pytest.approx(answers["best_model"]["score"], rel=1e-4, abs=1e-6)


def test_training_learns(repository: Path, shared_data: Path, tmp_path: Path) -> None:
    """A small network learns real sentences by heart."""
    root, changes = PLACES["msra_ner"]
    config = [
        *SMALL,
        *changes,
        f"Data.root={shared_data / root}",
        f"Data.tokenizer.vocab_file={shared_data / 'vocab/ernie3.0_base_zh_vocab.txt'}",
        f"Global.output_dir={tmp_path}",
        "Train.max_steps=60",
        "Train.epochs=60",
        "Train.log_every=1",
        "Optimizer.learning_rate=1.0e-2",
        "Eval.every=60",
    ]
    assert main(["train", "-c", str(repository / "configs/ernie3/finetune/msra_ner.yaml"), "-o", *config]) == 0
    log = (tmp_path / "train_log.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [record["loss"] for record in map(json.loads, log) if record["mode"] == "train"]
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])
