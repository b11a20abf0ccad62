"""Which runs an experiment needs, what they share, and their configs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.config import dump_config
from ppernie.errors import UserError
from ppernie.experiments.loader import load_experiment
from ppernie.experiments.plan import Plan, make_plan


@pytest.fixture
def plan(write_experiment: Callable[..., str], tmp_path: Path) -> Callable[..., Plan]:
    def make(threads: int | None = None, **changes: Any) -> Plan:
        experiment, settings = load_experiment(write_experiment(**changes))
        return make_plan(experiment, settings, tmp_path / "out", threads)

    return make


def test_every_variant_and_seed_has_its_chain(plan: Callable[..., Plan]) -> None:
    made = plan()
    assert len(made.cells) == len(made.runs) == 2 * 2 * 3
    assert [cell.seed for cell in made.cells] == [1] * 6 + [2] * 6
    for position, run in enumerate(made.runs):
        assert run.parent is None or made.runs.index(run.parent) < position
    few = next(cell.run for cell in made.cells if cell[:4] == ("much", 2, "finetune", "few"))
    assert few.config.Global.seed == 2
    assert few.config.Data.train is not None and few.config.Data.train.limit == 20
    assert few.parent is not None and few.parent.config.Task.options.mask_rate == 0.5
    assert few.config.Global.pretrained_model == str(few.parent.folder / "best_model")
    # The network of the pretraining.
    assert few.config.Arch.model.hidden_size == 16
    assert few.metrics == ("accuracy",)


def test_variants_share_what_they_do_not_change(plan: Callable[..., Plan]) -> None:
    other = {"finetune": {"override": {"Optimizer": {"learning_rate": 1e-4}}}}
    # What little sets is the task's default, so that it changes nothing.
    made = plan(**{"variants.much": other})
    names = {(cell.variant, cell.task): cell.run.name for cell in made.cells if cell.seed == 1}
    assert names["little", None] == names["much", None]
    assert names["little", "few"] != names["much", "few"]
    assert len(made.runs) == 2 * (1 + 2 * 2)
    assert made.runs[0].label == "pretrain, little, seed 1"


def test_seeds_of_a_stage_of_its_own(plan: Callable[..., Plan]) -> None:
    once = plan(**{"stages.pretrain.seeds": [5]})
    assert len([run for run in once.runs if run.kind == "pretrain"]) == 2
    many = plan(**{"stages.finetune.seeds": [5, 6, 7]})
    assert len(many.runs) == 2 * 2 * (1 + 2 * 3)
    assert {run.config.Global.seed for run in many.runs if run.kind == "finetune-few"} == {5, 6, 7}


def test_a_variant_may_start_from_nothing(plan: Callable[..., Plan], arch: dict[str, Any]) -> None:
    made = plan(
        **{
            "variants.nothing": {"finetune": {"pretrained": None, "override": {"Arch": arch}}},
            "report.columns.loss": ...,
            "report.curves": {},
        }
    )
    nothing = [cell for cell in made.cells if cell.variant == "nothing"]
    assert {cell.stage for cell in nothing} == {"finetune"}
    assert {cell.run.parent for cell in nothing} == {None}
    assert {cell.run.config.Global.pretrained_model for cell in nothing} == {None}


@pytest.fixture
def students(experiment_values: dict[str, Any], arch: dict[str, Any]) -> dict[str, Any]:
    """Changes by which students of each task learn from the fine-tuned networks, and from none in another variant."""
    teacher = experiment_values["stages"]["finetune"]
    small = {"override": {"Arch": arch | {"num_hidden_layers": 1}, "Slim": {"distillation": {"soft": {}}}}}
    return {
        "stages.student": {"links": {"Slim.distillation.teacher": "finetune"}, "each": teacher["each"], **small},
        "variants.alone": {"student": {"links": {}, "override": {"Slim": {"distillation": None}}}},
        "report.columns.student": {"stage": "student", "better": "higher"},
    }


def test_a_model_may_be_a_value_of_another_run(
    plan: Callable[..., Plan], students: dict[str, Any], tmp_path: Path
) -> None:
    made = plan(**students)
    cells = {(cell.variant, cell.stage, cell.task): cell.run for cell in made.cells if cell.seed == 1}
    for task in ("words", "few"):
        student, teacher = cells["much", "student", task], cells["much", "finetune", task]
        assert student.parent is None and student.needs == [teacher]
        assert student.config.Slim.distillation is not None
        assert student.config.Slim.distillation.teacher == str(teacher.folder / "best_model")
        alone = cells["alone", "student", task]
        assert alone.needs == [] and alone.config.Slim.distillation is None
    for position, run in enumerate(made.runs):
        assert all(made.runs.index(needed) < position for needed in run.needs)
    # The name tells the teacher, and not the folder it lies in.
    assert cells["much", "student", "few"].name != cells["little", "student", "few"].name
    experiment, settings = load_experiment(str(tmp_path / "experiment.yaml"))
    elsewhere = make_plan(experiment, settings, tmp_path / "elsewhere", None)
    assert [run.name for run in elsewhere.runs] == [run.name for run in made.runs]


def test_a_stage_may_start_from_the_same_task_of_another(plan: Callable[..., Plan], students: dict[str, Any]) -> None:
    chained = {"stages.student.links": {}, "stages.student.override": {}, "stages.student.pretrained": "finetune"}
    made = plan(**(students | chained))
    runs = {(cell.stage, cell.task): cell.run for cell in made.cells if cell[:2] == ("alone", 1)}
    assert runs["student", "few"].parent == runs["finetune", "few"]


def test_a_run_has_a_new_name_when_anything_before_it_changes(plan: Callable[..., Plan]) -> None:
    names = [run.name for run in plan().runs]
    assert [run.name for run in plan(threads=3).runs] == names
    assert plan(threads=3).runs[0].config.Global.threads == 3
    changed = plan(**{"stages.pretrain.override": {"Train": {"max_steps": 7}}})
    assert not {run.name for run in changed.runs} & set(names)


def test_a_run_has_a_new_name_when_what_it_reads_changes(plan: Callable[..., Plan]) -> None:
    made = plan()
    names = {run.label: run.name for run in made.runs}
    data = made.runs[0].config.Data
    assert data.train is not None and isinstance(data.train.files, str)
    words = Path(data.root or "", data.train.files)
    content = words.read_bytes()
    words.write_bytes(content + content.splitlines(keepends=True)[0])
    changed = {run.label: run.name for run in plan().runs}
    assert changed.keys() == names.keys() and not {*changed.values()} & {*names.values()}
    words.write_bytes(content)
    assert {run.label: run.name for run in plan().runs} == names


def test_a_config_is_what_a_run_of_its_own_would_have(plan: Callable[..., Plan], tmp_path: Path) -> None:
    from ppernie.config import load_config

    run = plan().runs[0]
    path = tmp_path / "run.yaml"
    path.write_text(dump_config(run.config), encoding="utf-8")
    assert load_config(path) == run.config


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("stages.pretrain.config", "nowhere.yaml", r"experiment.yaml:\d+.*cannot read the config nowhere.yaml"),
        ("stages.pretrain.override", {"Train": {"epoch": 3}}, r"Train.epoch \(.*experiment.yaml:\d+\): unknown key"),
        ("variants.much.pretrain.override", {"Task": {"mask_rat": 0.1}}, "(?s)variant much.*did you mean"),
        ("stages.finetune.each.few.metric", "test.f1", "Data.test is missing"),
        ("stages.pretrain.override", {"Global": 3}, "must be a map"),
        ("stages.finetune.links", {"Slim.distillation.techer": "pretrain"}, "did you mean Slim.distillation.teacher"),
    ],
)
def test_mistakes_in_configs(plan: Callable[..., Plan], key: str, value: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        plan(**{key: value})
