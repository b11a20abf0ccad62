from __future__ import annotations

import copy
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
from ppernie.zoo.folder import load_model, read_description

NARROW = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1}
STUDENTS = {
    "nano": {"fields": NARROW, "extra_layer": True},
    "pico": {"fields": NARROW | {"num_attention_heads": 1}, "learns_from": "teacher"},
}
ONLINE = {"relation": {"pairs": ["qk"], "heads": 2}, "soft": {}, "students": STUDENTS}


def test_several_learn_at_once_and_are_saved_alone(distil: Callable[..., Config], records: Any) -> None:
    config = distil(ONLINE)
    train(config)
    lines = records(config)
    for name in ("soft", "nano.soft", "pico.soft"):
        first, last = (np.mean([line[name] for line in part]) for part in (lines[:5], lines[-5:]))
        assert last < first, name
    assert all(line[f"{name}relation"] > 0 for line in lines for name in ("", "nano.", "pico."))
    folder = Path(config.Global.output_dir)
    for name in STUDENTS:
        model, task, description = load_model(folder / "students" / name)
        assert description.arch["hidden_size"] == 8 and description.arch["num_hidden_layers"] == 1
        assert model(paddle.to_tensor([[1, 7, 2]])).shape == [1, 3]
        assert task.options.labels == read_description(folder / "best_model").task["labels"]  # type: ignore[index]
    assert not [name for name in load_file(folder / "best_model" / "model.safetensors") if "students" in name]


def test_one_pass_of_the_teacher_serves_all(distil: Callable[..., Config]) -> None:
    config = distil(ONLINE)
    parts = assemble(config)
    network = build_model(config, parts, Alone(Topology())).network
    assert parts.distiller is not None and parts.distiller._network is not None
    passes: list[int] = []
    parts.distiller._network.register_forward_post_hook(lambda *_: passes.append(1))
    batch = parts.task.collate([parts.task.encode(item, (0, 0, 0)) for item in parts.train[:5]])
    tensors = {name: paddle.to_tensor(array) for name, array in batch.items()}
    outputs = network(tensors["input_ids"], tensors["token_type_ids"])
    losses = parts.task.losses(outputs, tensors)
    assert sum(passes) == 1
    # What a student learns moves neither its assistant nor the other.
    (losses["nano.relation"] + losses["nano.soft"]).backward()
    moved = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert moved and all(name.startswith("distillation.students.nano.") for name in moved)


def test_without_a_teacher_the_network_itself_teaches(distil: Callable[..., Config], records: Any) -> None:
    """Its own task is all that it learns; the student is the same whatever the teacher's loss does to others."""
    config = distil({"teacher": None, "hard": {}, "soft": {}, "students": {"nano": {"fields": NARROW}}})
    train(config)
    lines = records(config)
    assert lines[0].keys() >= {"hard", "nano.soft"} and "soft" not in lines[0]
    assert lines[-1]["nano.soft"] < lines[0]["nano.soft"]


def test_a_student_goes_on_from_its_folder(distil: Callable[..., Config], tmp_path: Path) -> None:
    config = distil(ONLINE)
    train(config)
    folder = Path(config.Global.output_dir) / "students" / "pico"
    students = copy.deepcopy(STUDENTS) | {"pico": {"pretrained_model": str(folder), "learns_from": "teacher"}}
    again = distil(ONLINE | {"students": students}, **{"Global.output_dir": str(tmp_path / "again")})
    network = build_model(again, assemble(again), Alone(Topology())).network
    stored = load_file(folder / "model.safetensors")
    prefix = "distillation.students.pico."
    own = {name.removeprefix(prefix): p for name, p in network.named_parameters() if name.startswith(prefix)}
    assert own.keys() == stored.keys()
    for name, parameter in own.items():
        np.testing.assert_array_equal(parameter.numpy(), stored[name], err_msg=name)


def test_mistakes(distil: Callable[..., Config]) -> None:
    def with_student(**student: Any) -> Config:
        return distil(ONLINE | {"students": {"nano": student}})

    with pytest.raises(UserError, match=r"students.nano: hidden_sizes: unknown key|students.nano.*hidden_sizes"):
        assemble(with_student(fields={"hidden_sizes": 8}))
    with pytest.raises(UserError, match=r"students.nano.fields.vocab_size: 20 is too few"):
        assemble(with_student(fields={"vocab_size": 20}))
    with pytest.raises(UserError, match=r"has no variant 'ernie-nano'; there are .*ernie-3.0-nano-zh"):
        assemble(with_student(variant="ernie-nano"))
