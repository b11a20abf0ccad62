"""What a topology takes of each GPU's memory."""

from __future__ import annotations

from dataclasses import dataclass

from ppernie.parallel.sizing.degrees import Degrees
from ppernie.parallel.sizing.network import Module, Network
from ppernie.parallel.sizing.stages import Stage


@dataclass(frozen=True)
class Widths:
    """Bytes of one parameter, of its gradient, of its optimizer state, and of one activation."""

    parameter: int
    gradient: int
    optimizer: int
    activation: int

    @classmethod
    def of(cls, dtype: str) -> Widths:
        """float32 with AdamW's two moments; or 16 bits with moments and a master copy in float32."""
        return cls(4, 4, 8, 4) if dtype == "float32" else cls(2, 2, 12, 2)


@dataclass(frozen=True)
class Memory:
    """Bytes on the GPU that needs most.

    On small encoders on a CPU, activations are within 1% of what Paddle's allocator holds after forward, and the whole
    is at most 30% above the peak of a step (``tests/unit/parallel/test_sizing_memory.py``): gradients are counted in
    full while activations are at their highest. Fragments, buffers of communication and gradients of activations are
    not counted; ``Hardware.reserved`` is for them.

    Attributes:
        activations: what backward needs of the micro-batches in flight.
        working: what exists for a moment: a layer's activations computed again, scores over the vocabulary, the
            weights of a layer at sharding stage 3.
    """

    parameters: float
    gradients: float
    optimizer: float
    activations: float
    working: float

    @property
    def total(self) -> float:
        return self.parameters + self.gradients + self.optimizer + self.activations + self.working


def memory(network: Network, degrees: Degrees, stage: Stage, widths: Widths) -> Memory:
    """Memory of a rank of one pipeline stage.

    ZeRO (Rajbhandari et al. 2020, arXiv:1910.02054, section 5) shares optimizer state out over the sharding ranks, at
    stage 2 gradients too, at stage 3 parameters too.
    """
    parameters, trained = stage.parameters(degrees.mp), stage.trained(degrees.mp)
    shared = [degrees.sharding if degrees.sharding_stage >= level else 1 for level in (1, 2, 3)]
    tokens = degrees.micro_batch * network.length
    return Memory(
        parameters=parameters * widths.parameter / shared[2],
        gradients=trained * widths.gradient / shared[1],
        optimizer=trained * widths.optimizer / shared[0],
        activations=tokens * degrees.in_flight(stage.index) * _kept(network, degrees, stage, widths.activation),
        working=tokens * _recomputed_or_scored(degrees, stage, widths.activation)
        + (stage.layer.parameters / degrees.mp * widths.parameter if degrees.sharding_stage == 3 else 0),
    )


def _kept(network: Network, degrees: Degrees, stage: Stage, width: int) -> float:
    """Bytes of a token from forward to backward of the stage."""
    layer = _module(stage.layer, degrees, width)
    if degrees.recompute == "full":
        layer = network.hidden * width / _cut_outside(degrees)
    elif degrees.recompute == "selective":
        layer -= stage.layer.core.size(width) / degrees.mp
    return stage.layers * layer + sum(_module(end, degrees, width) for end in stage.ends)


def _recomputed_or_scored(degrees: Degrees, stage: Stage, width: int) -> float:
    """Bytes of a token while a layer is computed again, or while the head scores the vocabulary."""
    again = 0.0
    if degrees.recompute == "full":
        again = _module(stage.layer, degrees, width)
    elif degrees.recompute == "selective":
        again = stage.layer.core.size(width) / degrees.mp
    return max([again, *(end.working.size(width) / degrees.mp for end in stage.ends)])


def _module(module: Module, degrees: Degrees, width: int) -> float:
    """Bytes of a token between forward and backward of one module, without recomputation."""
    inside = module.inside.size(width) + module.core.size(width)
    return inside / degrees.mp + module.outside.size(width) / _cut_outside(degrees) + module.gathered.size(width)


def _cut_outside(degrees: Degrees) -> int:
    return degrees.mp if degrees.sequence_parallel else 1
