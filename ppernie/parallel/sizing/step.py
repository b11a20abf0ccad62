"""What a topology moves between GPUs in a step, and how long the step takes."""

from __future__ import annotations

from dataclasses import dataclass

from ppernie.parallel.sizing.degrees import Degrees
from ppernie.parallel.sizing.hardware import Hardware
from ppernie.parallel.sizing.memory import Widths
from ppernie.parallel.sizing.network import Network
from ppernie.parallel.sizing.stages import Stage


@dataclass(frozen=True)
class Traffic:
    """Bytes that a GPU of one stage sends in a step.

    Attributes:
        mp: sums of hidden vectors over tensor-parallel ranks.
        pp: activations and gradients to the neighbouring stages, and the gradient of a tied table.
        data: gradients and, with sharding, updated parameters among the ranks of ``dp`` and ``sharding``.
    """

    mp: float
    pp: float
    data: float


@dataclass(frozen=True)
class Seconds:
    """Parts of a step; nothing is taken to overlap, so that each part is an upper bound of what it costs."""

    compute: float
    mp: float
    pp: float
    bubble: float
    data: float
    optimizer: float

    @property
    def total(self) -> float:
        return self.compute + self.mp + self.pp + self.bubble + self.data + self.optimizer


def step(
    network: Network, degrees: Degrees, stage: Stage, widths: Widths, hardware: Hardware, dtype: str
) -> tuple[Traffic, Seconds]:
    """Traffic and time of a step, were all pipeline stages as slow as this one.

    A ring's all-reduce of n bytes over d ranks sends 2 n (d - 1) / d, a reduce-scatter or an all-gather half of that.
    """
    steps, warmup = degrees.accumulate_steps, degrees.warmup
    tokens = steps * degrees.micro_batch * network.length
    vector = tokens * network.hidden * widths.activation

    compute = tokens * _flops(network, degrees, stage) / degrees.mp / hardware.flops(dtype)

    summed = vector * _sums(degrees, stage) * 2 * _others(degrees.mp)
    mp_seconds = summed / hardware.bandwidth(degrees.mp, 1)

    passed, tied = 0.0, 0.0
    if degrees.pp > 1:
        # To the next stage in forward, to the one before in backward; each tensor-parallel rank sends its part.
        passed = 2 * degrees.virtual_stages * vector / degrees.mp
        tied = network.tied / degrees.mp * widths.gradient
    stride = degrees.mp * degrees.sharding
    pp_seconds = passed / hardware.bandwidth(degrees.pp, stride)
    tied_seconds = tied / hardware.bandwidth(degrees.pp, stride)

    parameters = stage.parameters(degrees.mp)
    sharded = parameters * _sharding_passes(degrees, widths) * _others(degrees.sharding)
    reduced = parameters / degrees.sharding * widths.gradient * 2 * _others(degrees.dp)
    data_seconds = sharded / hardware.bandwidth(degrees.sharding, degrees.mp) + reduced / hardware.bandwidth(
        degrees.dp, degrees.mp * degrees.sharding * degrees.pp
    )

    # Moments, master copy and weights are read and written, gradients read.
    moved = 2 * (widths.optimizer + widths.parameter) + widths.gradient
    optimizer = parameters / degrees.sharding * moved / (hardware.memory_bandwidth * 1e9)

    return Traffic(summed, passed + tied, sharded + reduced), Seconds(
        compute=compute,
        mp=mp_seconds,
        pp=pp_seconds + tied_seconds,
        bubble=(compute + mp_seconds + pp_seconds) * warmup / steps,
        data=data_seconds,
        optimizer=optimizer,
    )


def _flops(network: Network, degrees: Degrees, stage: Stage) -> float:
    """Of a token through forward, backward and recomputation of one stage."""
    layer = network.layer
    again = {"none": 0.0, "selective": layer.core_flops, "full": layer.flops + layer.core_flops}[degrees.recompute]
    ends = sum(3 * (end.flops + end.core_flops) for end in stage.ends)
    return stage.layers * (3 * (layer.flops + layer.core_flops) + again) + ends


def _sums(degrees: Degrees, stage: Stage) -> float:
    """Sums over tensor-parallel ranks, in hidden vectors for each token."""
    layer = stage.layer
    again = layer.forward_sums if degrees.recompute == "full" else 0.0
    ends = sum(end.forward_sums + end.backward_sums for end in stage.ends)
    return stage.layers * (layer.forward_sums + layer.backward_sums + again) + ends


def _sharding_passes(degrees: Degrees, widths: Widths) -> float:
    """Bytes for each parameter that pass through the ring of the sharding ranks in a step.

    Stage 1 reduces gradients once and gathers parameters once; stage 2 reduces with every micro-batch; stage 3 besides
    gathers parameters for every forward and backward.
    """
    steps = degrees.accumulate_steps
    if degrees.sharding_stage == 1:
        return widths.gradient + widths.parameter
    if degrees.sharding_stage == 2:
        return steps * widths.gradient + widths.parameter
    return steps * (widths.gradient + 2 * widths.parameter)


def _others(ranks: int) -> float:
    return (ranks - 1) / ranks
