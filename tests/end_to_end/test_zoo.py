"""Runs that start from pretrained weights, from wherever they come, as users start them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.cli.main import main
from ppernie.zoo import manifest
from ppernie.zoo.formats import open_weights

REVIEWS = [("物流很快，包装很好", "好"), ("质量很差，不能用", "坏"), ("非常满意", "好"), ("太差了", "坏")] * 2
SIZES = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 32,
}
SMALLEST = "ernie-3.0-tiny-pico-v2-zh"
Train = Callable[..., str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, a vocabulary, and a trained classifier in ``first/best_model`` and as folders of the libraries."""
    root = tmp_path_factory.mktemp("world")
    rows = "".join(f"{text}\t{label}\n" for text, label in REVIEWS)
    (root / "train.tsv").write_text(rows, encoding="utf-8")
    characters = sorted({character for text, _ in REVIEWS for character in text})
    tokens = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *characters]
    (root / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    arch = {"variant": "ernie-3.0-nano-zh", **SIZES, "layer_norm_eps": 1e-12}
    values = config(root, "first", Arch=arch, Optimizer={"learning_rate": 1e-2})
    values["Data"]["tokenizer"] = {"vocab_file": str(root / "vocab.txt")}
    assert run(root, values) == 0
    for library in ("paddlenlp", "huggingface"):
        assert main(["convert", "--to", library, str(root / "first/best_model"), str(root / library)]) == 0
    return root


def config(root: Path, name: str, **changes: dict[str, Any]) -> dict[str, Any]:
    """A run of one step that, by its tiny rate, leaves the weights as they are."""
    source = {"files": "train.tsv", "columns": ["text", "label"]}
    values: dict[str, Any] = {
        "Global": {"output_dir": str(root / name), "device": "cpu", "threads": 1},
        "Arch": {"name": "ernie3/ErnieForSequenceClassification"},
        "Task": {"name": "sequence_classification"},
        "Data": {"root": str(root), "max_length": 32, "train": source, "eval": source},
        "Optimizer": {"learning_rate": 1e-30},
        "Train": {"batch_size": 4, "max_steps": 1, "epochs": 1},
    }
    for section, keys in changes.items():
        values[section] |= keys
    return values


def run(folder: Path, values: dict[str, Any]) -> int:
    path = folder / "config.yaml"
    # JSON is YAML.
    path.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    return main(["train", "-c", str(path)])


def weights(folder: Path) -> dict[str, np.ndarray]:
    return {name: tensor.read() for name, tensor in open_weights(folder / "model.safetensors").items()}


def assert_same_encoder(folder: Path, origin: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Compares the encoders, and returns the weights of the folder."""
    found = weights(folder)
    names = {name for name in origin if name.startswith("backbone.")}
    assert names == {name for name in found if name.startswith("backbone.")}
    for name in names:
        np.testing.assert_allclose(found[name], origin[name], rtol=0, atol=1e-20)
    return found


@pytest.mark.parametrize("source", ["first/best_model", "paddlenlp", "huggingface", "paddlenlp/model_state.pdparams"])
def test_folders_of_every_library(source: str, world: Path, tmp_path: Path) -> None:
    """Sizes, vocabulary and head are those of the pretrained model."""
    assert run(tmp_path, config(world, f"from/{source}", Global={"pretrained_model": str(world / source)})) == 0
    origin = weights(world / "first/best_model")
    found = assert_same_encoder(world / f"from/{source}" / "best_model", origin)
    np.testing.assert_allclose(found["classifier.weight"], origin["classifier.weight"], rtol=0, atol=1e-20)
    arch = json.loads((world / f"from/{source}" / "best_model/config.json").read_text())["arch"]
    assert {name: arch[name] for name in SIZES} == SIZES


def test_a_head_anew(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = {"pretrained_model": str(world / "huggingface"), "new_head": True}
    assert run(tmp_path, config(world, "anew", Global=start)) == 0
    origin = weights(world / "first/best_model")
    found = assert_same_encoder(world / "anew/best_model", origin)
    assert np.abs(found["classifier.weight"] - origin["classifier.weight"]).max() > 1e-3
    assert "newly initialized: ['classifier.weight', 'classifier.bias']" in capsys.readouterr().out


def test_another_task_over_the_encoder(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes: dict[str, Any] = {
        "Global": {"pretrained_model": str(world / "paddlenlp")},
        "Arch": {"name": "ernie3/ErnieForMaskedLM"},
        "Task": {"name": "masked_language_modeling"},
        "Eval": {"metric": "loss"},
    }
    values = config(world, "language") | {"Eval": {}}
    for section, keys in changes.items():
        values[section] |= keys
    assert run(tmp_path, values) == 0
    assert_same_encoder(world / "language/best_model", weights(world / "first/best_model"))
    log = capsys.readouterr().out
    assert "'decoder.bias'" in log and "left: ['classifier.weight', 'classifier.bias']" in log


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing that connects."""
    monkeypatch.setenv("PPERNIE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PPNLP_HOME", str(tmp_path / "paddlenlp"))
    monkeypatch.setenv("PPERNIE_OFFLINE", "1")
    return tmp_path / "cache"


@pytest.mark.parametrize("named", [True, False])
def test_a_released_name_out_of_the_cache(named: bool, world: Path, cache: Path, tmp_path: Path) -> None:
    from ppernie import registry
    from ppernie.zoo.layout import write

    entry = manifest.find(SMALLEST)
    config_class = registry.family_config("ernie3")
    convert = registry.family_convert("ernie3")
    assert config_class is not None and convert is not None
    shape = config_class(**entry.architecture)
    model = registry.network_class("ernie3", "ErnieModel")(shape)
    model.reset_parameters()
    state = {name: parameter.numpy() for name, parameter in model.named_parameters()}
    folder = cache / "models" / entry.folder
    folder.mkdir(parents=True)
    weights_file, vocab_file = (folder / file.name for file in entry.files)
    weights_file.write_bytes(pickle.dumps(write(state, shape, convert.LAYOUTS["paddlenlp"], "Model"), protocol=4))
    vocab_file.write_bytes((world / "vocab.txt").read_bytes())

    arch = {"variant": SMALLEST} if named else {}
    values = config(tmp_path, "run", Global={"pretrained_model": SMALLEST}, Arch=arch)
    values["Data"]["root"] = str(world)
    assert run(tmp_path, values) == 0
    assert_same_encoder(tmp_path / "run/best_model", {f"backbone.{name}": array for name, array in state.items()})
    assert (tmp_path / "run/best_model/vocab.txt").read_bytes() == vocab_file.read_bytes()


def test_a_released_name_that_is_not_there(
    world: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, config(world, "nowhere", Global={"pretrained_model": SMALLEST})) == 2
    message = capsys.readouterr().err
    file = manifest.find(SMALLEST).files[0]
    for said in (
        "Global.pretrained_model",
        "PPERNIE_OFFLINE",
        file.address,
        str(cache / "models" / SMALLEST / file.name),
    ):
        assert said in message
    assert not (world / "nowhere").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Arch": {"hidden_size": 32}}, "hidden_size is 16 there and 32 in Arch"),
        ({"Arch": {"variant": "ernie-3.0-nano-zh"}}, "Set Arch.variant to the released model, or to null"),
        ({"Arch": {"name": "ernie_gram/ErnieGramForSequenceClassification"}}, "is of the family ernie3"),
        ({"Global": {"pretrained_model": "ernie-gram-zh"}}, "is of the family ernie_gram"),
        ({"Global": {"pretrained_model": "chatglm-6b"}}, "is of the family glm"),
        ({"Global": {"pretrained_model": "nowhere"}}, "no such folder or file, and no released model"),
        ({"Global": {"pretrained_model": "ernie-3.0-bse-zh"}}, "did you mean 'ernie-3.0-base-zh'"),
    ],
)
def test_what_does_not_fit(
    changes: dict[str, Any], said: str, world: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = config(world, "refused", Global={"pretrained_model": str(world / "huggingface")})
    for section, keys in changes.items():
        values[section] |= keys
    assert run(tmp_path, values) == 2
    message = capsys.readouterr().err
    assert said in message and "Traceback" not in message
    assert message.count("Global.pretrained_model") == 1
    assert not (world / "refused").exists()


def test_a_head_of_other_classes(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    three = "".join(f"{text}\t{index % 3}\n" for index, (text, _) in enumerate(REVIEWS))
    (tmp_path / "train.tsv").write_text(three, encoding="utf-8")
    values = config(tmp_path, "run", Global={"pretrained_model": str(world / "paddlenlp")})
    assert run(tmp_path, values) == 2
    message = capsys.readouterr().err
    assert "classifier.bias: shape [2] instead of [3]" in message and "new_head" in message
    values["Global"] |= {"new_head": True, "output_dir": str(tmp_path / "again")}
    assert run(tmp_path, values) == 0
