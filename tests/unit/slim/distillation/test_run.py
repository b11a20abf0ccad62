from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from safetensors.numpy import load_file

from ppernie.config.sections import Config
from ppernie.engine.assemble import assemble, build_model
from ppernie.engine.train import train
from ppernie.errors import UserError
from ppernie.parallel.ranks import Alone
from ppernie.parallel.topology import Topology

LATENT: dict[str, Any] = {"hidden": {}, "attention": {}, "relation": {}}
ALL = LATENT | {"soft": {"temperature": 2.0}, "hard": {}}


def folder_of(config: Config) -> Path:
    return Path(config.Global.output_dir)


def test_a_student_learns_and_leaves_its_projections(distil: Callable[..., Config], records: Any) -> None:
    config = distil(ALL)
    results = train(config)
    lines = records(config)
    first, last = ({name: np.mean([line[name] for line in part]) for name in ALL} for part in (lines[:5], lines[-5:]))
    assert all(last[name] < first[name] for name in ("hidden", "attention", "soft"))
    assert lines[0]["loss"] == pytest.approx(sum(lines[0][name] for name in ALL))
    assert 0 <= results["accuracy"] <= 1
    stored = load_file(folder_of(config) / "best_model" / "model.safetensors")
    assert not [name for name in stored if "distillation" in name]
    newest = max((folder_of(config) / "checkpoints").iterdir())
    kept = load_file(newest / "rank_00000.safetensors")
    assert "model/distillation.projections.own-2.weight" in kept
    assert "optimizer/distillation.projections.own-2.weight.moment1" in kept
    # A plain run goes on from the folder.
    plain = distil({"soft": {}}, **{"Global.pretrained_model": str(folder_of(config) / "best_model")})
    plain = plain.model_copy(update={"Slim": type(plain.Slim)()})
    assemble(plain)


def test_relations_are_learnt(distil: Callable[..., Config], records: Any) -> None:
    plain = {"Arch.hidden_dropout_prob": 0.0, "Arch.attention_probs_dropout_prob": 0.0}
    config = distil(
        {"relation": {"layers": "uniform", "pairs": ["qk"]}},
        **plain,
        **{"Train.epochs": 4, "Optimizer.learning_rate": 1e-2},
    )
    train(config)
    found = [line["loss"] for line in records(config)]
    assert np.mean(found[-10:]) < np.mean(found[:10]) / 2


def test_nothing_is_left_to_learn_from_oneself(distil: Callable[..., Config], teacher: str) -> None:
    same = {"Arch.num_hidden_layers": 4, "Arch.hidden_size": 16, "Arch.intermediate_size": 32}
    config = distil(LATENT, **same, **{"Global.pretrained_model": teacher})
    parts = assemble(config)
    network = build_model(config, parts, Alone(Topology())).network
    features = [parts.task.encode(item, (0, 0, 0)) for item in parts.train[:5]]
    batch = {name: paddle.to_tensor(array) for name, array in parts.task.collate(features).items()}
    network.eval()
    with paddle.no_grad():
        outputs = network(batch["input_ids"], batch["token_type_ids"])
        assert [float(loss) for loss in parts.task.losses(outputs, batch).values()] == [0.0, 0.0, 0.0]
    # With gradients our own kernels compute, to the same within rounding.
    outputs = network(batch["input_ids"], batch["token_type_ids"])
    found = parts.task.losses(outputs, batch)
    assert max(float(loss) for loss in found.values()) < 1e-6


def test_only_the_student_gets_gradients(distil: Callable[..., Config]) -> None:
    config = distil(ALL)
    parts = assemble(config)
    network = build_model(config, parts, Alone(Topology())).network
    features = [parts.task.encode(item, (0, 0, 0)) for item in parts.train[:5]]
    batch = {name: paddle.to_tensor(array) for name, array in parts.task.collate(features).items()}
    outputs = network(batch["input_ids"], batch["token_type_ids"])
    paddle.add_n(list(parts.task.losses(outputs, batch).values())).backward()
    assert parts.distiller is not None
    master = parts.distiller._network
    assert master is not None and not master.training
    assert all(parameter.stop_gradient and parameter.grad is None for parameter in master.parameters())
    assert all(parameter.grad is not None for parameter in network.parameters())
    own = {id(parameter) for parameter in network.parameters()}
    assert not own & {id(parameter) for parameter in master.parameters()}


def test_batches_in_parts_are_the_whole_batch(distil: Callable[..., Config], records: Any, tmp_path: Path) -> None:
    """Means are over all tokens, cells and texts of an update, however they are dealt out."""
    found = []
    for size, rounds in ((40, 1), (8, 5)):
        config = distil(
            ALL,
            **{
                "Arch.hidden_dropout_prob": 0.0,
                "Arch.attention_probs_dropout_prob": 0.0,
                "Train.batch_size": size,
                "Train.accumulate_steps": rounds,
                "Train.epochs": 1,
                "Global.output_dir": str(tmp_path / str(size)),
            },
        )
        train(config)
        found.append(records(config)[0])
    for name in ("hidden", "attention", "relation", "soft", "hard", "grad_norm"):
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-5), name


def test_texts_alone(distil: Callable[..., Config], texts: dict[str, Any], records: Any) -> None:
    config = distil(LATENT, **texts)
    results = train(config)
    lines = records(config)
    assert lines[-1]["hidden"] < lines[0]["hidden"]
    assert results["metric"] == "loss" and results["hidden"] > 0
    assert json.loads((folder_of(config) / "best_model" / "config.json").read_text())["arch"]["name"].endswith("Model")


@pytest.mark.parametrize("step", [1, 4])
def test_goes_on_to_the_bit(
    distil: Callable[..., Config],
    texts: dict[str, Any],
    tmp_path: Path,
    records: Any,
    interrupt_at: Callable[[int], Any],
    step: int,
) -> None:
    losses = LATENT | {"augmentation": {"share": 1.0, "rate": 0.5}}
    whole = distil(losses, **texts, **{"Global.output_dir": str(tmp_path / "whole")})
    expected = train(whole)
    config = distil(losses, **texts)
    interrupt_at(step)
    with pytest.raises(BaseException, match="saved at step"):
        train(config)
    assert train(config, "auto") == expected
    newest = [max((folder_of(c) / "checkpoints").iterdir()) / "rank_00000.safetensors" for c in (whole, config)]
    left, right = (load_file(path) for path in newest)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
    for first, second in zip(records(whole), records(config), strict=True):
        assert all(first[key] == second[key] for key in ("loss", "hidden", "attention", "relation", "grad_norm"))


def test_mistakes(distil: Callable[..., Config], texts: dict[str, Any], tmp_path: Path, teacher: str) -> None:
    with pytest.raises(UserError, match=r"Slim.distillation.teacher: nowhere: no such folder"):
        assemble(distil(LATENT | {"teacher": "nowhere"}))
    with pytest.raises(UserError, match="labels 动词, 地名, 成语, the run 成语, 地名, 动词; set Task.labels"):
        assemble(distil({"soft": {}}, **{"Task.labels": ["成语", "地名", "动词"]}))
    with pytest.raises(UserError, match="Tuning.lora.*goes without Slim.distillation"):
        distil(LATENT, **{"Tuning.lora": {}, "Global.pretrained_model": teacher})
    with pytest.raises(UserError, match="learns from a teacher alone; set Slim.distillation"):
        distil({}, **{**texts, "Slim.distillation": None})
    with pytest.raises(UserError, match="does not know what distillation answers"):
        assemble(distil({"soft": {}}, **texts))
    student = str(tmp_path / "texts")
    train(distil(LATENT, **texts, **{"Global.output_dir": student}))
    headless = distil({"soft": {}, "teacher": f"{student}/best_model"})
    parts = assemble(headless)
    with pytest.raises(UserError, match="answers no sequence_classification"):
        build_model(headless, parts, Alone(Topology()))
