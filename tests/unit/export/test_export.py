from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.errors import UserError
from ppernie.export import Contents, Field, export_model
from ppernie.inference.predictor import Predictor

TEXT, CHOICE = ("batch", "length"), ("batch", "choices", "length")
# Class, arguments of its head, dimensions of each input and of the output.
NETWORKS: dict[str, tuple[dict[str, int], dict[str, tuple[str, ...]], tuple[str, ...]]] = {
    "ErnieForSequenceClassification": (
        {"num_labels": 3},
        {"input_ids": TEXT, "token_type_ids": TEXT},
        ("batch", "classes"),
    ),
    "ErnieForQuestionAnswering": ({}, {"input_ids": TEXT, "token_type_ids": TEXT}, ("batch", "length", "ends")),
    "ErnieForMultipleChoice": (
        {},
        {"input_ids": CHOICE, "token_type_ids": CHOICE},
        ("batch", "choices"),
    ),
    "ErnieDualEncoder": (
        {},
        {"input_ids": TEXT, "pair_input_ids": ("batch", "pair_length")},
        ("batch",),
    ),
}


class Case:
    """A network with what its export needs."""

    def __init__(self, name: str, make_model: Callable[..., Any], arch: dict[str, Any]) -> None:
        head, inputs, output = NETWORKS[name]
        self.model = make_model(name, **head)
        self.outputs = [output]
        self.fields = [
            Field(key, "int64", dims, 0, arch["type_vocab_size" if "type" in key else "vocab_size"])
            for key, dims in inputs.items()
        ]

    def sample(self, seed: int, **sizes: int) -> dict[str, np.ndarray]:
        random = np.random.default_rng(seed)
        return {
            field.name: random.integers(min(1, field.upper - 2), field.upper, [sizes[dim] for dim in field.dims])
            for field in self.fields
        }

    def export(self, folder: Path, tolerance: float = 1e-4) -> dict[str, Any]:
        samples = [
            self.sample(0, batch=1, length=4, choices=2, pair_length=5),
            self.sample(1, batch=3, length=13, choices=4, pair_length=9),
        ]
        contents = Contents(self.fields, self.outputs, 32, samples, {"task": {"name": "t"}})
        return export_model(self.model, contents, folder, tolerance)


@pytest.fixture(params=NETWORKS)
def case(request: pytest.FixtureRequest, make_model: Callable[..., Any], arch: dict[str, Any]) -> Case:
    return Case(request.param, make_model, arch)


@pytest.fixture
def classifier(make_model: Callable[..., Any], arch: dict[str, Any]) -> Case:
    return Case("ErnieForSequenceClassification", make_model, arch)


def test_an_export_answers_as_its_network(case: Case, tmp_path: Path) -> None:
    report = case.export(tmp_path / "export")
    assert report["differences"]["fp32"]["max_relative"] < 1e-4
    inputs = case.sample(2, batch=5, length=7, choices=3, pair_length=11)
    case.model.eval()
    with paddle.no_grad():
        expected = case.model(**{name: paddle.to_tensor(ids) for name, ids in inputs.items()}).numpy()
    (output,) = Predictor(tmp_path / "export", device="cpu", threads=1).run(inputs)
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_the_network_is_left_as_it_was(classifier: Case, tmp_path: Path) -> None:
    model = classifier.model
    model.train()
    model.classifier.eval()
    modes = [layer.training for layer in model.sublayers(include_self=True)]
    layers = [type(layer) for layer in model.sublayers(include_self=True)]
    before = {name: value.numpy() for name, value in model.state_dict().items()}
    classifier.export(tmp_path / "export")
    assert [layer.training for layer in model.sublayers(include_self=True)] == modes
    assert [type(layer) for layer in model.sublayers(include_self=True)] == layers
    after = {name: value.numpy() for name, value in model.state_dict().items()}
    assert list(after) == list(before)
    assert all((after[name] == before[name]).all() for name in before)


def test_a_difference_above_the_tolerance_leaves_the_old_export(classifier: Case, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    classifier.export(folder)
    old = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match="nothing was exported"):
        classifier.export(folder, tolerance=1e-12)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == old
    assert list(tmp_path.iterdir()) == [folder]


def test_a_network_that_gives_no_numbers_is_refused(classifier: Case, tmp_path: Path) -> None:
    classifier.model.classifier.bias.set_value(np.full(3, np.nan, "float32"))
    with pytest.raises(UserError, match="nothing was exported"):
        classifier.export(tmp_path / "export")
    assert not list(tmp_path.iterdir())


def test_an_export_replaces_an_older_one(classifier: Case, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    classifier.export(folder)
    (folder / "vocab.txt").write_text("old")
    classifier.export(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["deploy.yml", "inference.json", "inference.pdiparams"]


def test_other_files_are_not_replaced(classifier: Case, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="other than an export"):
        classifier.export(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(
    classifier: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        classifier.export(tmp_path / "file" / "export")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(paddle.jit, "save", full)
    with pytest.raises(UserError, match="disk is full"):
        classifier.export(tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_an_input_that_the_network_does_not_take_is_a_bug(classifier: Case, tmp_path: Path) -> None:
    classifier.fields.append(Field("colour_ids", "int64", TEXT, 0, 2))
    with pytest.raises((ValueError, TypeError), match="colour_ids"):
        classifier.export(tmp_path / "export")
