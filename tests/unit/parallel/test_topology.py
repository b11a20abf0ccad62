"""Degrees against the world and the model, and the places of ranks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ppernie.config import load_config
from ppernie.config.sections import Config, DistributedSection
from ppernie.errors import UserError
from ppernie.parallel.start import start
from ppernie.parallel.topology import Topology, World, resolve, world

CONFIG = "configs/ernie3/pretrain/masked_lm.yaml"


def problems(repository: Path, *degrees: str) -> str:
    with pytest.raises(UserError) as caught:
        load_config(str(repository / CONFIG), [f"Distributed.{degree}" for degree in degrees])
    return str(caught.value)


def test_all_ones_is_the_default() -> None:
    assert resolve(DistributedSection(), World()) == Topology()


def test_dp_takes_what_the_others_leave_over() -> None:
    topology = resolve(DistributedSection(mp=2, pp=2), World(16, 5))
    assert (topology.dp, topology.world, topology.rank) == (4, 16, 5)


@pytest.mark.parametrize(
    ("degrees", "size", "equation"),
    [
        ({"dp": 2, "mp": 4, "pp": 2}, 8, "dp 2 x sharding 1 x mp 4 x pp 2 = 16, but 8 processes were started"),
        ({"mp": 2}, 3, "dp 1 x sharding 1 x mp 2 x pp 1 = 2, but 3 processes were started"),
        ({"mp": 4}, 2, "dp 1 x sharding 1 x mp 4 x pp 1 = 4, but 2 processes were started"),
        ({"sharding": 2}, 1, "dp 1 x sharding 2 x mp 1 x pp 1 = 2, but 1 process was started"),
    ],
)
def test_a_wrong_world_prints_the_equation(degrees: dict[str, int], size: int, equation: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(DistributedSection(**degrees), World(size))
    assert str(caught.value).startswith(equation)


def test_every_rank_has_a_place_of_its_own() -> None:
    degrees = {"dp": 2, "sharding": 3, "mp": 2, "pp": 2}
    ranks = [Topology(**degrees, rank=rank) for rank in range(24)]
    assert len({(rank.data_rank, rank.pp_rank, rank.mp_rank) for rank in ranks}) == 24
    assert {rank.data_rank for rank in ranks} == set(range(6))
    assert [rank.mp_rank for rank in ranks[:4]] == [0, 1, 0, 1]
    assert [sum(rank.pp_rank == stage for rank in ranks) for stage in range(2)] == [12, 12]


def test_data_groups_hold_the_same_weights() -> None:
    topology = Topology(dp=2, sharding=2, mp=2, pp=2)
    groups = list(topology.data_groups())
    assert sorted(rank for group in groups for rank in group) == list(range(16))
    for group in groups:
        members = [Topology(dp=2, sharding=2, mp=2, pp=2, rank=rank) for rank in group]
        assert [member.data_rank for member in members] == [0, 1, 2, 3]
        assert len({(member.pp_rank, member.mp_rank) for member in members}) == 1


def test_the_launcher_tells_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    assert world() == World(1, 0)
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "4")
    monkeypatch.setenv("PADDLE_TRAINER_ID", "3")
    assert world() == World(4, 3)


@pytest.mark.parametrize(
    ("degrees", "problem"),
    [
        (["mp=5"], "5 does not divide Arch.num_attention_heads = 12, Arch.intermediate_size = 3072"),
        (["mp=3"], "3 does not divide Arch.vocab_size = 40000; choose another mp"),
        (["sequence_parallel=true"], "needs Distributed.mp > 1"),
        (["pp=16"], "16 stages are more than Arch.num_hidden_layers"),
        (["pp=2", "virtual_stages=2", "schedule=interleaved"], "need Distributed.pp > 2"),
        (["pp=4", "virtual_stages=2"], "interleaved goes with Distributed.virtual_stages > 1"),
        (["pp=4", "virtual_stages=1", "schedule=interleaved"], "interleaved goes with Distributed.virtual_stages > 1"),
        (["sharding_stage=2"], "stage 2 needs Distributed.sharding > 1"),
        (
            ["sharding_stage=3", "sharding=2", "pp=2"],
            "stage 3 would move its parts with every micro-batch",
        ),
        (["ep=2"], "no network here has experts"),
        (["sep=2"], "no network here has attention over a sequence that is cut"),
        (["dp=0"], "must be at least 1"),
    ],
)
def test_degrees_are_checked_against_the_model(repository: Path, degrees: list[str], problem: str) -> None:
    assert problem in problems(repository, *degrees)


def test_interleaved_needs_batches_in_multiples_of_the_stages(repository: Path) -> None:
    degrees = ["Distributed.pp=3", "Distributed.virtual_stages=2", "Distributed.schedule=interleaved"]
    with pytest.raises(UserError, match="multiple of pp = 3"):
        load_config(str(repository / CONFIG), [*degrees, "Train.accumulate_steps=4"])
    load_config(str(repository / CONFIG), [*degrees, "Train.accumulate_steps=6"])


def test_interleaved_stages_may_differ_in_size(repository: Path) -> None:
    degrees = ["pp=3", "virtual_stages=2", "schedule=interleaved"]
    overrides = [*(f"Distributed.{degree}" for degree in degrees), "Train.accumulate_steps=6"]
    load_config(str(repository / CONFIG), [*overrides, "Arch.num_hidden_layers=8"])


def test_all_problems_come_in_one_report(repository: Path) -> None:
    report = problems(repository, "mp=5", "ep=2", "sharding_stage=2")
    assert "3 problems" in report


def test_one_rank_answers_for_itself(repository: Path) -> None:
    config: Config = load_config(str(repository / CONFIG))
    ranks = start(resolve(config.Distributed, World()), config)
    value: dict[str, Any] = {"step": 3}
    ranks.barrier()
    assert ranks.all_sum([1.0, 2.5]) == ranks.all_sum([1.0, 2.5], over="all") == [1.0, 2.5]
    assert ranks.broadcast_object(value) is value


def test_one_rank_starts_nothing(repository: Path) -> None:
    """Paddle itself imports ``paddle.distributed``; on one rank this program must not even import Paddle for it."""
    program = f"""
import sys
from ppernie.config import load_config
from ppernie.parallel.start import start
from ppernie.parallel.topology import resolve, world
config = load_config({str(repository / CONFIG)!r})
ranks = start(resolve(config.Distributed, world()), config)
ranks.all_sum([1.0])
assert "paddle" not in sys.modules and not any("gloo" in name for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
