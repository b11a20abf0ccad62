"""A network's parameters on this rank: allocated, drawn, filled and brought together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import paddle

from ppernie.parallel.cut import Cut
from ppernie.parallel.ranks import mixed
from ppernie.parallel.recompute import recompute_regions
from ppernie.zoo.layout import Tensor
from ppernie.zoo.weights import allocate

if TYPE_CHECKING:
    from ppernie.parallel.plan import Plan
    from ppernie.parallel.topology import Topology


@dataclass(frozen=True)
class Share:
    """A network as one rank has it.

    Attributes:
        network: with the parameters of this rank.
        cuts: the layout of each parameter by its dotted name.
        partial: names of parameters that every tensor-parallel rank has whole, with a part of their gradient on each.
    """

    network: paddle.nn.Layer
    cuts: dict[str, Cut]
    partial: tuple[str, ...] = ()


def build_network(
    build: Callable[[], paddle.nn.Layer], plan: Callable[[], Plan], config: Any, topology: Topology, section: Any
) -> Share:
    """This rank's share of a network, its parameters allocated and not yet set.

    Args:
        build: makes the whole network.
        plan: finds the family's plan, where it is needed.
        config: the network's configuration.
        section: ``Distributed`` of the config.

    Raises:
        UserError: there is no plan, or it and the network do not fit.
    """
    with paddle.LazyGuard():
        network = build()
    cuts = {name: Cut(tuple(parameter.shape)) for name, parameter in network.named_parameters()}
    partial: list[str] = []
    if topology.mp > 1:
        from ppernie.parallel.layers import cut_network
        from ppernie.parallel.sequence import cut_sequence

        cuts = cut_network(network, plan(), config, topology.mp, section.sequence_parallel)
        if section.sequence_parallel:
            partial = cut_sequence(network, plan(), topology.mp)
    if section.recompute != "none":
        recompute_regions(network, plan(), section.recompute)
    allocate(network)
    return Share(network, cuts, tuple(partial))


def draw_parameters(
    network: paddle.nn.Layer, names: Iterable[str], cuts: Mapping[str, Cut], seed: int, topology: Topology
) -> None:
    """Draws parameters whole, each from the seed and its own name, and keeps this rank's part.

    So the start of a run does not depend on how its network is cut.
    """
    own = dict(network.named_parameters())
    for name in names:
        paddle.seed(mixed([seed, *name.encode()]))
        whole = network.draw(name, cuts[name].shape)
        if topology.mp == 1 or cuts[name].axis is None:
            own[name].set_value(whole)
        else:
            own[name].set_value(cuts[name].take(whole.numpy(), topology.mp, topology.mp_rank))


class Part(NamedTuple):
    """This rank's part of a stored tensor; the whole is read, and let go."""

    tensor: Tensor
    cut: Cut
    degree: int
    rank: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.cut.local_shape(self.degree)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.cut.take(np.asarray(self.tensor), self.degree, self.rank)


def parts_of(tensors: Mapping[str, Tensor], cuts: Mapping[str, Cut], topology: Topology) -> dict[str, Tensor]:
    """Stored tensors as this rank needs them; those that it needs whole stay as they are."""
    if topology.mp == 1:
        return dict(tensors)
    return {
        name: tensor if cuts[name].axis is None else Part(tensor, cuts[name], topology.mp, topology.mp_rank)
        for name, tensor in tensors.items()
    }
