"""The ranks of a run once they are together: their groups, and what they tell each other."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

if TYPE_CHECKING:
    from paddle.distributed.communication.group import Group

    from ppernie.config.sections import Config
    from ppernie.parallel.topology import Topology

Value = TypeVar("Value")
Scope = Literal["all", "data"]


class Ranks(ABC):
    """What this rank knows of the others; every method but ``seed`` must be called by all ranks that it concerns."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology

    @abstractmethod
    def seed(self, *parts: int) -> None:
        """Seeds Paddle's random numbers by the seed of the run and, say, the step.

        Tensor-parallel ranks draw the same numbers, and others from the state that fleet keeps for what is cut;
        ranks with other examples or other layers draw numbers of their own.
        """

    @abstractmethod
    def barrier(self) -> None:
        """Waits for all ranks."""

    @abstractmethod
    def all_sum(self, values: Sequence[float], over: Scope = "data") -> list[float]:
        """Sums, value by value in float64, over the ranks with other examples (``data``) or over all ranks."""

    @abstractmethod
    def share_out(self, optimizer: Any) -> Any:
        """Leaves a Paddle optimizer this rank's share of the parameters; what comes back updates all on all ranks."""

    @abstractmethod
    def broadcast_object(self, value: Value, source: int = 0) -> Value:
        """The value that rank ``source`` passed in."""


class Alone(Ranks):
    """One rank, which needs nothing of ``paddle.distributed``."""

    def seed(self, *parts: int) -> None:
        import paddle

        paddle.seed(mixed(parts))

    def barrier(self) -> None:
        pass

    def all_sum(self, values: Sequence[float], over: Scope = "data") -> list[float]:
        return list(values)

    def share_out(self, optimizer: Any) -> Any:
        return optimizer

    def broadcast_object(self, value: Value, source: int = 0) -> Value:
        return value


class Fleet(Ranks):
    """Several ranks, started through fleet.

    Args:
        batches: of a step on each rank, which a pipeline passes.

    Attributes:
        hcg: fleet's groups (``HybridCommunicateGroup``), its ``topology()`` among them.
        mp_group, pp_group: the ranks that share a layer, and those that share a network.
        data_group: the ranks that hold the same weights and read different examples.
        sharding_group, dp_group: of those, the ranks that share one optimizer state, and those that each have it.
    """

    def __init__(self, topology: Topology, config: Config, batches: int) -> None:
        super().__init__(topology)
        import paddle

        if paddle.device.get_device() == "cpu":
            _prepare_cpu()
        from paddle.distributed import fleet

        with warnings.catch_warnings():
            # Said of every group that has a single rank.
            warnings.filterwarnings("ignore", "Current global rank")
            fleet.init(is_collective=True, strategy=_strategy(topology, config, batches), log_level="WARNING")
        self.hcg: Any = fleet.get_hybrid_communicate_group()
        self.mp_group: Group = self.hcg.get_model_parallel_group()
        self.pp_group: Group = self.hcg.get_pipe_parallel_group()
        self.sharding_group: Group = self.hcg.get_sharding_parallel_group()
        self.dp_group: Group = self.hcg.get_data_parallel_group()
        data_group = _own_group(list(topology.data_groups()), topology.rank)
        assert data_group is not None
        self.data_group: Group = data_group
        self.seed(config.Global.seed)

    def seed(self, *parts: int) -> None:
        self._parts = parts
        self._seed([*parts, self.topology.data_rank, self.topology.pp_rank])

    @contextmanager
    def alike(self, number: int) -> Iterator[None]:
        """Within it the stages of a pipeline draw the same numbers, others for each number; then they go on."""
        import paddle
        from paddle.distributed.fleet.layers.mpu.random import get_rng_state_tracker

        state, tracked = paddle.get_rng_state(), get_rng_state_tracker().get_states_tracker()
        self._seed([*self._parts, self.topology.data_rank, self.topology.pp, number])
        try:
            yield
        finally:
            paddle.set_rng_state(state)
            get_rng_state_tracker().set_states_tracker(tracked)

    def _seed(self, parts: Sequence[int]) -> None:
        import paddle
        from paddle.distributed.fleet.layers.mpu import random

        paddle.seed(mixed(parts))
        tracker = random.get_rng_state_tracker()
        tracker.reset()
        tracker.add(random.MODEL_PARALLEL_RNG, mixed([*parts, self.topology.mp_rank]))

    def group_of(self, stages: Sequence[int]) -> Group | None:
        """Of the ranks of these stages in this rank's pipeline; None where it is of none. All ranks must call it."""
        pipelines = self.hcg.topology().get_comm_list("pipe")
        return _own_group([[ranks[stage] for stage in stages] for ranks in pipelines], self.topology.rank)

    def rank_of_stage(self, stage: int) -> int:
        """The rank of a stage in this rank's pipeline."""
        return self.hcg.get_rank_from_stage(stage)

    def barrier(self) -> None:
        from paddle import distributed

        distributed.barrier()

    def all_sum(self, values: Sequence[float], over: Scope = "data") -> list[float]:
        import paddle
        from paddle import distributed

        if over == "data" and self.topology.data_world == 1:
            return list(values)
        sums = paddle.to_tensor(list(values), dtype="float64")
        distributed.all_reduce(sums, group=self.data_group if over == "data" else None)
        return [float(value) for value in sums.numpy()]

    def share_out(self, optimizer: Any) -> Any:
        from paddle.distributed.fleet.meta_optimizers.dygraph_optimizer import DygraphShardingOptimizer

        return DygraphShardingOptimizer(optimizer, self.hcg)

    def broadcast_object(self, value: Value, source: int = 0) -> Value:
        from paddle import distributed

        values = [value]
        distributed.broadcast_object_list(values, src=source)
        return values[0]


def _prepare_cpu() -> None:
    from ppernie.parallel import gloo

    gloo.install()
    os.environ["PADDLE_DISTRI_BACKEND"] = "gloo"


def _strategy(topology: Topology, config: Config, batches: int) -> Any:
    from paddle.distributed import fleet

    strategy = fleet.DistributedStrategy()
    strategy.pipeline_configs = {
        "micro_batch_size": config.Train.batch_size,
        "accumulate_steps": batches,
        # Tensor-parallel ranks each send a share of what all of them have, unless the sequence is cut.
        "enable_partial_send_recv": not config.Distributed.sequence_parallel,
    }
    hybrid: Any = {
        "dp_degree": topology.dp,
        "pp_degree": topology.pp,
        "sharding_degree": topology.sharding,
        "sep_degree": topology.sep,
        "mp_degree": topology.mp,
        "order": list(topology.AXES),
        # Every rank reads the batch of its data rank itself.
        "mp_configs": {"need_broadcast_data": False},
        # Batches of different steps may differ in length, and a loss is already a part of the whole step's.
        "pp_configs": {"clear_every_step_cache": True, "delay_scale_loss": True},
    }
    strategy.hybrid_configs = hybrid
    return strategy


def _own_group(groups: list[list[int]], rank: int) -> Group | None:
    """Makes all groups, as each rank must, and returns the one of this rank."""
    from paddle import distributed

    made = [(ranks, distributed.new_group(ranks)) for ranks in groups]
    return next((group for ranks, group in made if rank in ranks), None)


def mixed(parts: Sequence[int]) -> int:
    """A seed of 31 bits that differs wherever one of the parts does."""
    return int(np.random.SeedSequence(tuple(parts)).generate_state(1)[0]) >> 1
