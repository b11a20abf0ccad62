"""A student as a step of a recipe."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.config.sections import Config
from ppernie.errors import UserError
from ppernie.slim.recipe import compress
from ppernie.zoo.folder import read_description, read_weights

LOSSES = {"hidden": {}, "soft": {}, "hard": {}}
# Two stages: over the texts without their labels, and with them.
TASKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "adaptive": ("ernie3/ErnieModel", "distillation", {"hidden": {}}),
    "specific": ("ernie3/ErnieForSequenceClassification", "sequence_classification", LOSSES),
}


@pytest.fixture
def stages(run_values: dict[str, Any], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``Slim.distil`` of a student of one layer, and its files; keys are ``Data``'s."""

    def make(names: tuple[str, ...] = ("adaptive", "specific"), **data: Any) -> dict[str, Any]:
        for name in names:
            arch, task, losses = TASKS[name]
            values = copy.deepcopy(run_values)
            values["Arch"] |= {"name": arch, "num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 16}
            values |= {"Task": {"name": task}, "Slim": {"distillation": losses}}
            values["Data"] |= data
            values["Train"] |= {"epochs": 1, "max_steps": 4}
            (tmp_path / f"{name}.yaml").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
        return {"stages": {name: {"config": str(tmp_path / f"{name}.yaml")} for name in names}}

    return make


def test_a_student_in_two_stages(
    source: Path, recipe: Callable[..., Config], stages: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    table = compress(source, out, recipe(distil=stages(), gate={"points": 100.0}))
    assert "| distil " in table
    runs = out / "steps" / "1-distil.runs"
    for name in TASKS:
        assert f"teacher: {source}\n" in (runs / name / "config.yaml").read_text(encoding="utf-8")
    assert read_description(out / "model").arch["num_hidden_layers"] == 1
    best, kept = read_weights(runs / "specific" / "best_model"), read_weights(out / "model")
    assert best.keys() == kept.keys()
    assert all(np.array_equal(best[name].read(), kept[name].read()) for name in kept)
    # The same once more trains nothing; another file does.
    made = (runs / "specific" / "train_results.json").stat().st_mtime_ns
    compress(source, out, recipe(distil=stages(), gate={"points": 100.0}))
    assert (runs / "specific" / "train_results.json").stat().st_mtime_ns == made
    compress(source, out, recipe(distil=stages(max_length=15), gate={"points": 100.0}))
    assert "max_length: 15" in (runs / "specific" / "config.yaml").read_text(encoding="utf-8")


def test_a_teacher_of_another_vocabulary(
    source: Path, recipe: Callable[..., Config], stages: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    tokens = (tmp_path / "vocab.txt").read_text(encoding="utf-8").splitlines()
    (tmp_path / "other.txt").write_text("".join(f"{token}\n" for token in tokens[:-3]), encoding="utf-8")
    other = stages(("specific",), tokenizer={"vocab_file": str(tmp_path / "other.txt")})
    with pytest.raises(UserError, match=r"^Slim.distil: .*teacher: its tokenizer is another than the student's"):
        compress(source, tmp_path / "out", recipe(distil=other))
    with pytest.raises(UserError, match="cannot read the config nowhere.yaml"):
        compress(source, tmp_path / "out", recipe(distil={"stages": {"one": {"config": "nowhere.yaml"}}}))


def test_a_student_that_does_not_answer(
    source: Path, recipe: Callable[..., Config], stages: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(
        UserError, match="Slim.distil: ends with .*1-distil, which is scored by loss, and .* by accuracy"
    ):
        compress(source, tmp_path / "out", recipe(distil=stages(("adaptive",))))
