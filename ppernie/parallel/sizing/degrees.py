"""The topologies that a number of GPUs allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from ppernie.parallel.sizing.network import Network
from ppernie.parallel.topology import runs_of

Recompute = Literal["none", "selective", "full"]
RECOMPUTE: tuple[Recompute, ...] = get_args(Recompute)


@dataclass(frozen=True)
class Degrees:
    """One way to lay a network over GPUs; the names are those of the config's section ``Distributed``.

    Ranks are numbered as fleet does: tensor-parallel neighbours first, then ``sharding``, ``pp`` and ``dp``.

    Attributes:
        micro_batch: inputs that pass through the network at once.
        accumulate_steps: micro-batches of a rank in one step.
    """

    dp: int
    sharding: int
    sharding_stage: int
    mp: int
    pp: int
    virtual_stages: int
    sequence_parallel: bool
    recompute: Recompute
    micro_batch: int
    accumulate_steps: int

    def __str__(self) -> str:
        parts = [f"dp{self.dp}"]
        if self.sharding > 1:
            parts.append(f"sharding{self.sharding} (stage {self.sharding_stage})")
        parts.append(f"mp{self.mp}{' sp' if self.sequence_parallel else ''}")
        parts.append(f"pp{self.pp}{f' x {self.virtual_stages}' if self.virtual_stages > 1 else ''}")
        return ", ".join(parts)

    @property
    def warmup(self) -> float:
        """Micro-batches' time for which a rank waits in each step, ``(pp - 1) / virtual_stages``.

        Narayanan et al. 2021, sections 2.2.1 and 2.2.2.
        """
        return (self.pp - 1) / self.virtual_stages

    @property
    def bubble(self) -> float:
        """Share of a step for which a rank waits for other stages."""
        return self.warmup / (self.accumulate_steps + self.warmup)

    def in_flight(self, stage: int) -> float:
        """Micro-batches whose activations a stage holds at once, in units of the whole stage.

        1F1B holds one for each stage from here to the last. Interleaved, a stage starts with 2 (pp - 1 - stage) +
        (v - 1) pp passes through one of its v chunks, and one more follows before the first is let go.
        """
        if self.virtual_stages == 1:
            return min(self.accumulate_steps, self.pp - stage)
        passes = 2 * (self.pp - 1 - stage) + (self.virtual_stages - 1) * self.pp + 1
        return min(self.accumulate_steps, passes / self.virtual_stages)


def candidates(
    network: Network, gpus: int, gpus_per_node: int, global_batch: int, micro_batches: Sequence[int]
) -> Iterator[Degrees]:
    """All topologies of ``gpus`` GPUs in which everything divides.

    Tensor parallelism stays inside a node. Sharding stages 2 and 3 go without a pipeline, as they would move gradients
    and weights with every micro-batch; interleaving, as fleet has it, needs more than two stages, and micro-batches
    that are a multiple of them and at least twice as many.
    """
    for mp in divisors(gpus):
        if mp > gpus_per_node or any(size % mp for size in network.divided.values()):
            continue
        for pp in divisors(gpus // mp):
            for virtual in _virtual_stages(network.layers, pp):
                for micro_batch in micro_batches:
                    yield from _completed(network, gpus, mp, pp, virtual, micro_batch, global_batch)


def _completed(
    network: Network, gpus: int, mp: int, pp: int, virtual: int, micro_batch: int, global_batch: int
) -> Iterator[Degrees]:
    data = gpus // (mp * pp)
    if global_batch % (data * micro_batch):
        return
    steps = global_batch // (data * micro_batch)
    if steps < pp or (virtual > 1 and (steps % pp or steps < 2 * pp)):
        return
    # Fused attention leaves nothing that it would pay to compute again.
    recompute = RECOMPUTE if network.layer.core.values else ("none", "full")
    sequence = (False, True) if mp > 1 and network.length % mp == 0 else (False,)
    for sharding in divisors(data):
        for stage in (1,) if sharding == 1 or pp > 1 else (1, 2, 3):
            for parallel in sequence:
                for kind in recompute:
                    yield Degrees(
                        data // sharding, sharding, stage, mp, pp, virtual, parallel, kind, micro_batch, steps
                    )


# Asked for every candidate, of which thousands have the same stages.
@cache
def layers_of_stages(layers: int, pp: int, virtual: int = 1) -> tuple[int, int, int] | None:
    """Layers of the first, of an inner and of the last pipeline stage; None where they do not divide.

    Embedding and head count as a layer each (``runs_of``), as in GLM-130B's 70 = 9 x 8 - 2.
    """
    if layers < pp * virtual:
        return None
    runs = runs_of(layers, pp * virtual)
    first, *inner, last = [sum(map(len, runs[stage::pp])) for stage in range(pp)] if pp > 1 else [layers] * 3
    if len(set(inner)) > 1:
        return None
    return first, inner[0] if inner else first, last


def _virtual_stages(layers: int, pp: int) -> list[int]:
    most = layers // pp if pp > 2 else 1
    return [virtual for virtual in range(1, most + 1) if layers_of_stages(layers, pp, virtual) is not None]


def divisors(number: int) -> list[int]:
    """In ascending order."""
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]
