"""The topologies that fit, the quickest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ppernie.errors import UserError
from ppernie.parallel.sizing.degrees import Degrees, candidates
from ppernie.parallel.sizing.hardware import Hardware
from ppernie.parallel.sizing.memory import Memory, Widths, memory
from ppernie.parallel.sizing.network import Network
from ppernie.parallel.sizing.stages import stages
from ppernie.parallel.sizing.step import Seconds, Traffic, step

# Values that a degree may have, as text; the names are Degrees'.
Wanted = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Work:
    """What a step is to do.

    Attributes:
        global_batch: inputs of a step, over all GPUs.
        micro_batches: inputs that may pass through the network at once.
        dtype: ``AMP.dtype``.
    """

    global_batch: int
    micro_batches: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Estimate:
    """A topology with the memory of its fullest GPU and the traffic and time of its slowest.

    Attributes:
        bubble: share of the step for which a rank waits for other stages.
        tflops: TFLOP/s of a GPU that the model needs, recomputation not counted.
    """

    degrees: Degrees
    memory: Memory
    traffic: Traffic
    seconds: Seconds
    bubble: float
    tflops: float


def rank(
    network: Network, work: Work, gpus: int, capacity: float, hardware: Hardware, wanted: Wanted | None = None
) -> list[Estimate]:
    """The topologies of ``gpus`` GPUs of ``capacity`` bytes that fit, by the time of a step.

    Args:
        wanted: keeps topologies whose degrees are among these values.

    Raises:
        UserError: nothing divides, or nothing fits; says how much the smallest needs.
    """
    widths = Widths.of(work.dtype)
    usable = capacity * (1 - hardware.reserved)
    found: list[Estimate] = []
    smallest: tuple[float, Degrees] | None = None
    for degrees in candidates(network, gpus, hardware.gpus_per_node, work.global_batch, work.micro_batches):
        if wanted and not all(_text(getattr(degrees, name)) in values for name, values in wanted.items()):
            continue
        parts = stages(network, degrees)
        needed = max((memory(network, degrees, stage, widths) for stage in parts), key=lambda m: m.total)
        if smallest is None or needed.total < smallest[0]:
            smallest = needed.total, degrees
        if needed.total <= usable:
            slowest = max(
                (step(network, degrees, stage, widths, hardware, work.dtype) for stage in parts),
                key=lambda result: result[1].total,
            )
            found.append(_estimate(network, work, gpus, degrees, needed, *slowest))
    if smallest is None:
        sizes = ", ".join(f"{name} {size}" for name, size in network.divided.items())
        raise UserError(
            f"no topology of {gpus} GPUs divides a global batch of {work.global_batch} with micro-batches of "
            f"{', '.join(map(str, work.micro_batches))}, {network.layers} layers, {sizes}"
            + (f" and has {_listed(wanted)}" if wanted else "")
        )
    if not found:
        raise UserError(
            f"nothing fits: the smallest topology, {smallest[1]}, recompute {smallest[1].recompute}, needs "
            f"{smallest[0] / 1e9:.1f} GB of each GPU, and {usable / 1e9:.1f} GB of {capacity / 1e9:g} can be used; "
            "take more GPUs, a smaller micro-batch or shorter inputs"
        )
    return sorted(found, key=lambda estimate: (estimate.seconds.total, estimate.memory.total))


def _estimate(
    network: Network,
    work: Work,
    gpus: int,
    degrees: Degrees,
    needed: Memory,
    traffic: Traffic,
    seconds: Seconds,
) -> Estimate:
    flops = network.flops * network.length * work.global_batch
    return Estimate(degrees, needed, traffic, seconds, degrees.bubble, flops / gpus / seconds.total / 1e12)


def _text(value: object) -> str:
    return str(value).lower()


def _listed(wanted: Wanted) -> str:
    return ", ".join(f"{name}={','.join(values)}" for name, values in wanted.items())
