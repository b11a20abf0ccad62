"""What a user can get wrong: a clear message and exit status 2, and nothing lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ppernie.cli.main import main

REVIEWS = [("物流很快，包装很好", "好"), ("质量很差，不能用", "坏"), ("非常满意", "好"), ("太差了", "坏")] * 4
CONFIG = """\
Global: {{output_dir: {folder}/run, seed: 3}}
Arch: {{name: ernie3/ErnieForSequenceClassification, variant: ernie-3.0-nano-zh, vocab_size: 64, hidden_size: 16,
       num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, max_position_embeddings: 32}}
Task: {{name: sequence_classification}}
Data:
  root: {folder}
  tokenizer: {{vocab_file: {folder}/vocab.txt}}
  max_length: 32
  train: {{files: train.tsv, columns: [text, label]}}
  eval: {{files: dev.tsv, columns: [text, label]}}
Optimizer: {{learning_rate: 1.0e-3}}
Train: {{batch_size: 4, epochs: 1}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config with its data, ready to train."""
    rows = "".join(f"{text}\t{label}\n" for text, label in REVIEWS)
    characters = sorted({character for text, _ in REVIEWS for character in text})
    vocabulary = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *characters]
    for name, content in (
        ("train.tsv", rows),
        ("dev.tsv", rows),
        ("vocab.txt", "".join(f"{token}\n" for token in vocabulary)),
        ("config.yaml", CONFIG.format(folder=tmp_path)),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def refused(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str, command: str = "train") -> str:
    """The message of a command that ends with 2 and shows no traceback."""
    status = main([command, "-c", str(folder / "config.yaml"), *arguments])
    message = capsys.readouterr().err
    assert status == 2, message
    assert "error: " in message
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("Train.batchsize=8", "did you mean Train.batch_size"),
        ("Train.epochs=many", "Train.epochs"),
        ("Optimizer.learning_rate=-1", "must be above 0"),
        ("Arch.variant=ernie-3.0-nana-zh", "ernie-3.0-nano-zh"),
        ("Task.name=token_classification", "ErnieForTokenClassification"),
        ("Data.max_length=64", "max_position_embeddings"),
        ("Data.train.files=trian.tsv", "train.tsv"),
        ("Data.tokenizer.vocab_file=nowhere.txt", "nowhere.txt"),
        ("Arch.vocab_size=20", "Arch.vocab_size"),
        ("AMP.dtype=bfloat16", "float32"),
        ("Global.device=gpu", "Global.device"),
        ("Global.pretrained_model=nowhere", "no such folder or file, and no released model"),
        ("Global.pretrained_model=ernie-3.0-nano-zh", "PPERNIE_OFFLINE"),
        ("Eval.metric=f1", "accuracy"),
    ],
)
def test_config(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, override: str, said: str
) -> None:
    import paddle

    monkeypatch.setenv("PPERNIE_HOME", str(folder / "cache"))
    monkeypatch.setenv("PPNLP_HOME", str(folder / "paddlenlp"))
    monkeypatch.setenv("PPERNIE_OFFLINE", "1")
    if override == "Global.device=gpu" and paddle.device.is_compiled_with_cuda():
        pytest.skip("this Paddle has CUDA")
    assert said in refused(folder, capsys, "-o", override)
    assert not (folder / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "train.tsv"),
        ("好\t好\n".encode() + b"\xff\xfe\t\xe5\n", "UTF-8"),
        ("好\t好\n好\n".encode(), "train.tsv:2"),
        ("好\t好\n很好\t好\n".encode(), "single label"),
    ],
    ids=["empty", "broken UTF-8", "a column short", "one label"],
)
def test_training_file(folder: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str) -> None:
    (folder / "train.tsv").write_bytes(content)
    assert said in refused(folder, capsys)
    assert not (folder / "run").exists()


def test_label_unknown_at_evaluation(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "dev.tsv").write_text("很好\t好\n太差\t差\n", encoding="utf-8")
    message = refused(folder, capsys)
    assert "dev.tsv:2" in message and "unknown label '差'" in message


def test_a_folder_holds_one_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "-c", str(folder / "config.yaml")]) == 0
    weights = (folder / "run" / "best_model" / "model.safetensors").read_bytes()
    assert "--resume auto" in refused(folder, capsys)
    message = refused(folder, capsys, "--resume", "auto", "-o", "Optimizer.learning_rate=0.5")
    assert "Optimizer.learning_rate was 0.001, is 0.5" in message
    assert "no such checkpoint" in refused(folder, capsys, "--resume", str(folder / "nowhere"))
    assert main(["train", "-c", str(folder / "config.yaml"), "--resume", "auto"]) == 0
    assert (folder / "run" / "best_model" / "model.safetensors").read_bytes() == weights


def test_a_place_that_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot write here" in refused(folder, capsys, "-o", f"Global.output_dir={folder}/vocab.txt/run")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of a model trained on the reviews."""
    folder = tmp_path_factory.mktemp("exported")
    rows = "".join(f"{text}\t{label}\n" for text, label in REVIEWS)
    characters = sorted({character for text, _ in REVIEWS for character in text})
    tokens = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *characters]
    (folder / "train.tsv").write_text(rows, encoding="utf-8")
    (folder / "dev.tsv").write_text(rows, encoding="utf-8")
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    (folder / "config.yaml").write_text(CONFIG.format(folder=folder), encoding="utf-8")
    assert main(["train", "-c", str(folder / "config.yaml")]) == 0
    assert main(["export_model", "-c", str(folder / "config.yaml")]) == 0
    return folder


def predict(folder: Path, lines: bytes, *arguments: str) -> list[dict[str, Any]]:
    (folder / "input").write_bytes(lines)
    output = folder / "output.jsonl"
    arguments = ("--input", str(folder / "input"), "--output", str(output), *arguments)
    assert main(["predict", "--model", str(folder / "run" / "export"), *arguments]) == 0
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def test_bad_lines_give_an_error_in_their_place(exported: Path) -> None:
    lines = [
        "很好".encode(),
        b"",
        b"\xff\xfe",
        b'{"text": "\xe5\xa5\xbd"',
        b'{"sentence": "a"}',
        b"[1, 2]",
        b'{"text": 3}',
        '{"text": "太差了"}'.encode(),
    ]
    answers = predict(exported, b"\n".join(lines) + b"\n")
    assert len(answers) == len(lines)
    assert [("error" in answer) for answer in answers] == [False, True, True, True, True, False, True, False]
    assert {answers[0]["label"], answers[-1]["label"]} <= {"好", "坏"}


def test_a_text_of_100_000_characters(exported: Path) -> None:
    (answer,) = predict(exported, ("很好" * 50_000).encode())
    assert answer["truncated"] is True and answer["label"] in ("好", "坏")


def test_an_id_beyond_the_vocabulary_never_reaches_the_runtime(exported: Path) -> None:
    import numpy as np

    from ppernie.errors import UserError
    from ppernie.inference.predictor import Predictor

    predictor = Predictor(exported / "run" / "export", device="cpu")
    good = {"input_ids": np.ones([1, 4], "int64"), "token_type_ids": np.zeros([1, 4], "int64")}
    for bad_id in (-1, 64, 10**7):
        with pytest.raises(UserError, match=str(bad_id)):
            predictor.run(good | {"input_ids": np.full([1, 4], bad_id, "int64")})
    assert np.isfinite(predictor.run(good)[0]).all()


@pytest.mark.parametrize(("damage", "said"), [("deploy.yml", "deploy.yml"), ("inference.pdiparams", "inference")])
def test_a_broken_export(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, said: str
) -> None:
    import shutil

    broken = tmp_path / "export"
    shutil.copytree(exported / "run" / "export", broken)
    (broken / damage).write_bytes(b"\x00\x01")
    status = main(["predict", "--model", str(broken), "--input", str(exported / "input")])
    assert status == 2 and said in capsys.readouterr().err
