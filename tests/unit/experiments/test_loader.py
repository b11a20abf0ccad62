"""Experiment files: every mistake is named, with its place, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.errors import UserError
from ppernie.experiments.loader import load_experiment
from ppernie.experiments.plan import make_plan

SHIPPED = sorted((Path(__file__).resolve().parents[3] / "configs" / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_experiments_are_sound(path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    experiment, settings = load_experiment(path)
    assert experiment.name == path.stem
    assert make_plan(experiment, settings, Path("unused"), None).runs


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("nmae", "x", "did you mean name?"),
        ("name", "a/b", "part of a file name"),
        ("question", ..., "required key is missing"),
        ("seeds", [], "a list of at least 1"),
        ("seeds", [1, 1], "given twice"),
        ("seeds", ["1"], "must be a whole number"),
        ("stages.pretrain.confg", "x", "did you mean stages.pretrain.config?"),
        ("stages.pretrain.config", ..., "either config or each"),
        ("stages.pretrain.each", {"a": {"config": "b"}}, "either config or each"),
        ("stages.finetune.each.few.metrics", "f1", "did you mean stages.finetune.each.few.metric?"),
        ("stages.finetune.pretrained", "pretrian", "did you mean pretrain?"),
        ("stages.pretrain.pretrained", "finetune", "no stage before pretrain"),
        ("stages.pretrain.seeds", [1, 2], "several models"),
        ("stages.finetune.links", {"Slim.distillation.teacher": "pretrian"}, "did you mean pretrain?"),
        ("variants.much.finetune", {"links": {"Slim.distillation.teacher": "finetune"}}, "no stage before finetune"),
        ("stages.more", {"config": "x", "pretrained": "finetune"}, "one for each of words, few; have the same tasks"),
        ("stages.again", {"config": "x"}, "nothing is reported of it"),
        ("variants.much.finetun", {}, "did you mean finetune?"),
        ("variants.much.finetune.overide", {}, "did you mean variants.much.finetune.override?"),
        ("report.baseline", "litle", "did you mean little?"),
        ("report.compare", [["much", "litle"]], "did you mean little?"),
        ("report.compare", [["much"]], "report.compare"),
        ("report.columns.loss.better", "more", "must be 'higher' or 'lower'"),
        ("report.columns.words.task", "word", "did you mean words?"),
        ("report.columns.words.stage", "pretraining", "did you mean pretrain?"),
        ("report.curves.pretraining.stage", "finetune", "a curve is of one task"),
        ("report.curves.pretraining.metric", "test.loss", "no curve of it"),
        ("report.curves.pretraining.x", "hours", "'steps', 'seconds' or 'tokens'"),
    ],
)
def test_mistakes(write_experiment: Callable[..., str], key: str, value: Any, said: str) -> None:
    path = write_experiment(**{key: value})
    with pytest.raises(UserError) as error:
        load_experiment(path)
    assert said in str(error.value)
    assert "experiment.yaml" in str(error.value)


def test_all_mistakes_come_together(write_experiment: Callable[..., str]) -> None:
    path = write_experiment(**{"seeds": "all", "report.baseline": 1, "variants.much.pretrain.overide": {}})
    with pytest.raises(UserError, match=r"3 problems(?s:.*)seeds(?s:.*)overide(?s:.*)baseline"):
        load_experiment(path)


def test_a_change_without_effect_is_refused(write_experiment: Callable[..., str]) -> None:
    path = write_experiment(
        **{
            "report.columns.loss": ...,
            "report.curves": {},
            "variants.much.finetune": {"pretrained": None},
        }
    )
    with pytest.raises(UserError, match="variants.much.pretrain.*has no effect"):
        load_experiment(path)


def test_bases_and_overrides(write_experiment: Callable[..., str], tmp_path: Path) -> None:
    base = write_experiment()
    path = tmp_path / "longer.yaml"
    path.write_text(f"_BASE_: {base}\nname: longer\nseeds: [7]\n", encoding="utf-8")
    steps = "stages.pretrain.override.Train.max_steps=9"
    experiment, _ = load_experiment(path, [steps, "variants.much.pretrain.override.Task.mask_rate=0.3"])
    assert (experiment.name, experiment.seeds) == ("longer", [7])
    assert experiment.stages["pretrain"].override == {"Train": {"max_steps": 9}}
    assert experiment.variants["much"]["pretrain"].override == {"Task": {"mask_rate": 0.3}}
    assert experiment.variants["little"]["pretrain"].override == {"Task": {"mask_rate": 0.15}}
