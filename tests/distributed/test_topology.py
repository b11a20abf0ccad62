"""Jobs of several ranks: their places and groups, a wrong world, and a rank that dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CONFIG = str(Path(__file__).parents[2] / "configs/ernie3/pretrain/masked_lm.yaml")


def _ranks(overrides: list[str]) -> Any:
    import paddle

    from ppernie.config import load_config
    from ppernie.parallel.start import start
    from ppernie.parallel.topology import resolve, world

    paddle.set_device("cpu")
    config = load_config(CONFIG, overrides)
    return start(resolve(config.Distributed, world()), config)


def _places(overrides: list[str]) -> dict[str, Any]:
    import paddle
    from paddle.distributed.fleet.layers.mpu.random import get_rng_state_tracker

    ranks = _ranks(overrides)
    topology, hcg = ranks.topology, ranks.hcg
    ranks.seed(7, 100)
    shared = paddle.rand([4]).tolist()
    with get_rng_state_tracker().rng_state():
        own = paddle.rand([4]).tolist()
    ranks.barrier()
    return {
        "rank": topology.rank,
        "ours": [topology.data_rank, topology.mp_rank, topology.pp_rank],
        "fleet's": [
            hcg.get_data_parallel_rank() * topology.sharding + hcg.get_sharding_parallel_rank(),
            hcg.get_model_parallel_rank(),
            hcg.get_stage_id(),
        ],
        "data": [topology.data_rank, topology.data_world, ranks.data_group.ranks],
        "sums": [ranks.all_sum([topology.rank, 0.5]), ranks.all_sum([topology.rank, 0.5], over="all")],
        "object": ranks.broadcast_object({"from": topology.rank}, source=1),
        "shared": shared,
        "own": own,
    }


def _check(found: list[dict[str, Any]], data_groups: list[list[int]], agreeing: list[list[int]]) -> None:
    everyone = len(found)
    for rank in found:
        assert rank["ours"] == rank["fleet's"]
        group = next(group for group in data_groups if rank["rank"] in group)
        assert rank["data"][2] == group
        data, whole = rank["sums"]
        np.testing.assert_array_equal(data, [sum(group), len(group) / 2])
        np.testing.assert_array_equal(whole, [sum(range(everyone)), everyone / 2])
        assert rank["object"] == {"from": 1}
    drawn = {tuple(rank["shared"]) for rank in found}
    assert len(drawn) == len(agreeing)
    for group in agreeing:
        assert len({tuple(found[rank]["shared"]) for rank in group}) == 1
    assert len({tuple(rank["own"]) for rank in found}) == everyone


def test_two_data_ranks(launch: Callable[..., Any]) -> None:
    _check(launch(_places, 2, []).results, [[0, 1]], [[0], [1]])


def test_two_tensor_parallel_ranks_draw_the_same_numbers(launch: Callable[..., Any]) -> None:
    _check(launch(_places, 2, ["Distributed.mp=2"]).results, [[0], [1]], [[0, 1]])


@pytest.mark.slow
def test_two_stages(launch: Callable[..., Any]) -> None:
    _check(launch(_places, 2, ["Distributed.pp=2"]).results, [[0], [1]], [[0], [1]])


def test_two_by_two(launch: Callable[..., Any]) -> None:
    degrees = ["Distributed.mp=2", "Distributed.pp=2"]
    _check(launch(_places, 4, degrees).results, [[0], [1], [2], [3]], [[0, 1], [2, 3]])


@pytest.mark.slow
def test_data_ranks_of_both_kinds(launch: Callable[..., Any]) -> None:
    degrees = ["Distributed.dp=2", "Distributed.sharding=2"]
    _check(launch(_places, 4, degrees).results, [[0, 1, 2, 3]], [[0], [1], [2], [3]])


def test_a_wrong_world_ends_the_job(launch: Callable[..., Any]) -> None:
    job = launch(_places, 2, ["Distributed.mp=4"], check=False)
    # The first rank's, unless the launcher has stopped it because the other was faster.
    assert job.status in (2, 241)
    assert "error: dp 1 x sharding 1 x mp 4 x pp 1 = 4, but 2 processes were started" in job.logs
    assert "Traceback (most recent call last):\n  File" not in job.logs


def _one_dies() -> None:
    ranks = _ranks([])
    ranks.barrier()
    if ranks.topology.rank == 1:
        print("rank 1 dies at", time.time(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        ranks.barrier()
    except ConnectionError as error:
        print(f"{error}; seen at {time.time()}", flush=True)
        raise


def test_a_dead_rank_ends_the_job(launch: Callable[..., Any]) -> None:
    job = launch(_one_dies, 2, check=False)
    ended = time.time()
    assert job.status != 0
    died = float(job.logs.partition("rank 1 dies at ")[2].split()[0])
    assert ended - died < 10
    assert "rank 1 has ended; its own log says why" in job.logs
