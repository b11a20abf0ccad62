"""A network as sizing sees it: numbers that a token, a layer or a rank costs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Held:
    """Memory that one token takes between forward and backward.

    Attributes:
        values: numbers in the type that the network computes in.
        bytes: what has a type of its own: masks of dropout (one byte each), float32 statistics.
    """

    values: float = 0
    bytes: float = 0

    def size(self, width: int) -> float:
        """Bytes a token, where a number takes ``width`` bytes."""
        return self.values * width + self.bytes


@dataclass(frozen=True)
class Module:
    """A part of the network that no pipeline stage divides.

    Attributes:
        cut: parameters that tensor parallelism shares out.
        whole: parameters that each of its ranks holds.
        idle: how many of ``whole`` the objective does not reach, so that they get no gradient and no moments.
        flops: of forward's products with weights, for each token; a multiplication and an addition count as two.
        core_flops: likewise of scores and of weighted values in attention.
        inside: held by a token between a column-parallel layer and the row-parallel one after it: always cut.
        core: held by attention's scores: always cut, and dropped by selective recomputation.
        outside: held where ranks work on the same hidden vectors: cut by sequence parallelism alone.
        gathered: inputs of column-parallel layers, which fleet's sequence-parallel layers keep gathered: never cut.
        working: what exists only while the module runs, as ``inside`` cut.
        forward_sums: all-reduces of one hidden vector for each token in forward; sequence parallelism makes each of
            them a reduce-scatter and an all-gather, of the same volume.
        backward_sums: likewise in backward.
    """

    cut: int = 0
    whole: int = 0
    idle: int = 0
    flops: float = 0
    core_flops: float = 0
    inside: Held = field(default=Held())
    core: Held = field(default=Held())
    outside: Held = field(default=Held())
    gathered: Held = field(default=Held())
    working: Held = field(default=Held())
    forward_sums: float = 0
    backward_sums: float = 0

    @property
    def parameters(self) -> int:
        """On all ranks together."""
        return self.cut + self.whole


@dataclass(frozen=True)
class Network:
    """An embedding, a stack of equal layers, and a head with the loss.

    Attributes:
        tied: parameters of the embedding that the head uses too: one copy on one pipeline stage, two on two.
        hidden: width of the vectors between layers.
        length: tokens of an input.
        divided: what tensor parallelism must divide, by name.
    """

    embedding: Module
    layer: Module
    layers: int
    head: Module
    tied: int
    hidden: int
    length: int
    divided: dict[str, int]

    @property
    def parameters(self) -> int:
        """Numbers in the whole network."""
        return self.embedding.parameters + self.layers * self.layer.parameters + self.head.parameters

    @property
    def flops(self) -> float:
        """Forward and backward of one token, without recomputation; backward is twice forward."""
        modules = [(1, self.embedding), (self.layers, self.layer), (1, self.head)]
        return sum(3 * count * (module.flops + module.core_flops) for count, module in modules)
