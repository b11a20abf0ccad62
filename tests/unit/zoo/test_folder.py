from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.errors import UserError
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import load_model, read_description, read_weights, save_model
from ppernie.zoo.weights import load_weights

NAME = "ernie3/ErnieForSequenceClassification"
LABELS = ["动词", "地名", "成语"]


@pytest.fixture
def model(make_model: Callable[..., Any]) -> Any:
    return make_model("ErnieForSequenceClassification", num_labels=3)


@pytest.fixture
def description(arch: dict[str, Any]) -> ModelDescription:
    return ModelDescription(
        arch={"name": NAME, "variant": None, **arch},
        task={"name": "sequence_classification", "labels": LABELS},
        max_length=16,
        fields={"text": "word"},
    )


def weights_of(model: Any) -> dict[str, np.ndarray]:
    return {name: parameter.numpy() for name, parameter in model.named_parameters()}


@pytest.fixture
def folder(tmp_path: Path, model: Any, description: ModelDescription, tokenizer: Any) -> Path:
    save_model(tmp_path / "model", weights_of(model), description, tokenizer, {"accuracy": 0.5})
    return tmp_path / "model"


def test_a_saved_model_is_the_same_when_loaded(folder: Path, model: Any, description: ModelDescription) -> None:
    loaded, task, found = load_model(folder)
    assert found == description
    assert task.options.labels == LABELS
    assert task.max_length == 16
    (item,) = task.expand({"text": "北京"}, False)
    batch = task.collate([task.encode(item, (0,))])
    inputs = [paddle.to_tensor(batch[name]) for name in task.input_names]
    model.eval()
    loaded.eval()
    np.testing.assert_array_equal(loaded(*inputs).numpy(), model(*inputs).numpy())
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors",
        "config.json",
        "metrics.json",
        "vocab.txt",
        "tokenizer_config.json",
    }
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == {"accuracy": 0.5}


def test_a_new_model_takes_the_old_ones_place(
    folder: Path, model: Any, description: ModelDescription, tokenizer: Any
) -> None:
    (folder / "notes.txt").write_text("of the old model", encoding="utf-8")
    changed = {name: value + 1 for name, value in weights_of(model).items()}
    save_model(folder, changed, description, tokenizer, {})
    assert not (folder / "notes.txt").exists()
    np.testing.assert_array_equal(read_weights(folder)["classifier.bias"], changed["classifier.bias"])
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("classifier.bias"), r"missing classifier\.bias"),
        (lambda w: w.update(extra=np.zeros(3, np.float32)), "unexpected extra"),
        (
            lambda w: w.update({"classifier.bias": np.zeros(4, np.float32)}),
            r"classifier\.bias has shape \[4\], the model \[3\]",
        ),
        (lambda w: w.clear(), "and [0-9]+ more"),
    ],
)
def test_weights_must_agree_exactly(model: Any, change: Callable[[dict], Any], message: str) -> None:
    weights = {name: np.array(value) for name, value in weights_of(model).items()}
    before = {name: np.array(value) for name, value in weights.items()}
    change(weights)
    with pytest.raises(UserError, match=f"from.here does not fit the model: .*{message}"):
        load_weights(model, weights, "from.here")
    for name, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_an_absent_folder_and_absent_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such model folder"):
        load_model(tmp_path / "nowhere")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="model: holds no model.safetensors"):
        load_model(folder)
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match="model: holds no config.json"):
        load_model(folder)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_damaged_weights_are_named(folder: Path, keep: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"model\.safetensors: damaged"):
        load_model(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "broken JSON"),
        ('{"arch": ', "broken JSON"),
        ("[]", "not a model description"),
        ("{}", "not a model description: arch"),
    ],
)
def test_broken_descriptions_are_named(folder: Path, text: str, message: str) -> None:
    (folder / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"config\.json: {message}"):
        read_description(folder)


def test_a_description_that_is_not_text_is_named(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"config\.json: broken JSON"):
        read_description(folder)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("arch", {"hidden_size": "16"}, "hidden_size"),
        ("arch", {"hidden_sizes": 16}, "hidden_sizes"),
        ("arch", {"num_attention_heads": 3}, "num_attention_heads"),
        ("arch", {"hidden_size": None}, "hidden_size"),
        ("arch", {"name": "ernie3/ErnieForNothing"}, "unknown architecture"),
        ("arch", {"name": None}, "arch.name"),
        ("task", {"name": "sequence_classificatoin"}, "unknown task"),
        ("task", {"name": None}, "task.name"),
        ("task", {"labels": "abc"}, "labels"),
        ("task", {"colour": 1}, "colour"),
    ],
)
def test_descriptions_of_models_that_cannot_be_are_named(
    folder: Path, section: str, change: dict[str, Any], message: str
) -> None:
    """A change to None removes the key."""
    path = folder / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values[section] |= change
    for key in [key for key, value in change.items() if value is None]:
        del values[section][key]
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load_model(folder)


def test_a_missing_vocabulary_is_named(folder: Path) -> None:
    (folder / "vocab.txt").unlink()
    with pytest.raises(UserError, match=r"vocab\.txt"):
        load_model(folder)
