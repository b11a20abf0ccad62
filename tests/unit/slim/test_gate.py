"""The gate: which scores pass, and models that are broken on purpose."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.config.sections import Config
from ppernie.errors import UserError
from ppernie.slim import recipe as recipes
from ppernie.slim.gate import check_source, check_step
from ppernie.slim.recipe import compress
from ppernie.slim.scores import Scores
from ppernie.slim.settings import Gate
from ppernie.zoo.folder import read_description, read_tokenizer, read_weights, save_model

HALF = Gate()


def scores(value: float, metric: str = "accuracy", examples: int = 1000) -> Scores:
    return Scores({metric: value}, metric, examples)


@pytest.mark.parametrize(
    ("metric", "before", "after", "points"),
    [
        ("accuracy", 0.9, 0.8951, 0.5),
        ("accuracy", 0.9, 0.895, 0.5),  # a difference of 0.5000000000000004 points
        ("accuracy", 0.9, 0.95, 0.5),
        ("accuracy", 0.9, 0.81, 10.0),
        ("loss", 2.0, 2.0099, 0.5),
        ("loss", 2.0, 1.0, 0.5),
        ("perplexity", 40.0, 40.1, 0.5),
        ("loss", 0.0, 0.0, 0.5),
    ],
)
def test_what_passes(metric: str, before: float, after: float, points: float) -> None:
    gate = Gate(points=points)
    check_source(gate, scores(before, metric))
    check_step(gate, "width", scores(before, metric), scores(after, metric), Path("there"))


@pytest.mark.parametrize(
    ("metric", "before", "after", "said"),
    [
        ("accuracy", 0.9, 0.895 - 1e-8, "loses 0.50 points"),
        ("accuracy", 0.9, 0.8949, "accuracy was 0.9000 and is 0.8949 on the 1000 examples .* loses 0.51 points"),
        ("pearson", 0.7, float("nan"), "pearson was 0.7000 and is nan .* loses all of it"),
        ("loss", 2.0, 2.011, "loses 0.55 percent, and Slim.gate.points allows 0.5. Look into there"),
        ("loss", 2.0, float("inf"), "loses all of it"),
        ("loss", 0.0, 0.1, "loses all of it"),
    ],
)
def test_what_does_not(metric: str, before: float, after: float, said: str) -> None:
    with pytest.raises(UserError, match=f"Slim.width: broke the model: .*{said}"):
        check_step(HALF, "width", scores(before, metric), scores(after, metric), Path("there"))


def test_a_source_that_nothing_can_be_compared_with() -> None:
    with pytest.raises(UserError, match="has the loss nan on Data.eval"):
        check_source(HALF, scores(float("nan"), "loss"))
    with pytest.raises(UserError, match="199 examples do not tell .* give at least 200"):
        check_source(HALF, scores(0.9, examples=199))
    check_source(HALF, scores(0.9, examples=200))
    # Of a loss every sample counts many times.
    check_source(HALF, scores(2.0, "loss", examples=3))


def change(source: Path, target: Path, part: str, to: Callable[[np.ndarray], np.ndarray]) -> None:
    """The model with those weights changed whose names hold a text."""
    weights = {name: np.asarray(tensor.read()) for name, tensor in read_weights(source).items()}
    assert any(part in name for name in weights)
    weights = {name: to(array) if part in name else array for name, array in weights.items()}
    save_model(target, weights, read_description(source), read_tokenizer(source), {})


@pytest.mark.parametrize(
    ("name", "part", "to"),
    [
        ("a layer zeroed", "encoder.layers.0.", np.zeros_like),
        ("a scale saturated", "classifier.weight", lambda array: np.clip(array, -1e-4, 1e-4)),
        ("a weight that is no number", "word_embeddings", lambda array: np.full_like(array, np.nan)),
    ],
)
def test_a_model_broken_on_purpose(
    name: str,
    part: str,
    to: Any,
    source: Path,
    recipe: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A step in the place of another breaks it; the step before passed, and the one behind never runs."""

    def broken(source: Path, target: Path, options: Any, config: Config) -> None:
        change(source, target, part, to)

    def whole(source: Path, target: Path, options: Any, config: Config) -> None:
        shutil.copytree(source, target)

    monkeypatch.setattr(recipes, "_STEPS", {"distil": whole, "weight_only": broken, "export": recipes._STEPS["export"]})
    (tmp_path / "student.yaml").write_text("Train: {}\n", encoding="utf-8")
    student = {"stages": {"one": {"config": str(tmp_path / "student.yaml")}}}
    config = recipe(distil=student, weight_only={"bits": 8}, gate={"points": 15.0})
    monkeypatch.setattr(logging.getLogger("ppernie"), "propagate", True)
    caplog.set_level(logging.INFO, logger="ppernie")
    said = r"Slim.weight_only: broke the model: accuracy was .* examples of Data.eval"
    with pytest.raises(UserError, match=said) as refused:
        compress(source, tmp_path / "out", config)
    assert {path.name for path in (tmp_path / "out" / "steps").iterdir() if path.is_dir()} == {
        "1-distil",
        "2-weight_only",
    }
    assert not (tmp_path / "out" / "model").exists()
    # What the steps have come to is told all the same.
    for text in (caplog.messages[-1], report := (tmp_path / "out" / "results.md").read_text()):
        steps = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]
        assert steps[0] == "step" and steps[2:] == ["source", "distil", "weight_only (refused)"]
    assert str(refused.value) in report and "not compressed" in report
    found = json.loads((tmp_path / "out" / "compress_results.json").read_text())
    assert found["model"] is None and found["steps"][2]["refusal"] == str(refused.value)
    assert "refusal" not in found["steps"][1]


def test_an_export_is_scored_by_what_it_answers(
    source: Path, recipe: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step exports another model than it was given, of which the model folder knows nothing."""
    own = recipes._STEPS["export"]

    def other(source: Path, target: Path, options: Any, config: Config) -> None:
        change(source, tmp_path / "zeroed", "encoder.layers.", np.zeros_like)
        own(tmp_path / "zeroed", target, options, config)

    monkeypatch.setattr(recipes, "_STEPS", {"export": other})
    with pytest.raises(UserError, match="Slim.export: broke the model"):
        compress(source, tmp_path / "out", recipe(export=True))
    # Allowed more, the same folder passes: nothing is done again.
    monkeypatch.setattr(recipes, "_STEPS", {"export": None})
    assert "| export |" in compress(source, tmp_path / "out", recipe(export=True, gate=None))
    assert (tmp_path / "out" / "model" / "inference.json").exists()
    with pytest.raises(UserError, match="Slim.export: broke the model"):
        compress(source, tmp_path / "out", recipe(export=True))
    assert not (tmp_path / "out" / "model").exists()
