"""A network's parameters on this rank: allocated, drawn, filled and brought together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import paddle

from ppernie.parallel.cut import Cut
from ppernie.parallel.ranks import Fleet, mixed
from ppernie.parallel.recompute import recompute_regions
from ppernie.zoo.layout import Tensor
from ppernie.zoo.weights import allocate

if TYPE_CHECKING:
    from paddle.distributed.communication.group import Group

    from ppernie.parallel.pipeline import Pipeline
    from ppernie.parallel.plan import Plan
    from ppernie.parallel.ranks import Ranks
    from ppernie.parallel.topology import Topology


@dataclass(frozen=True)
class Share:
    """A network as one rank has it.

    Attributes:
        network: with the parameters of this rank.
        cuts: the layout of each parameter of the whole network by its dotted name.
        partial: names of parameters that every tensor-parallel rank has whole, with a part of their gradient on each.
        holders: the pipeline stages that have each parameter; empty without a pipeline.
        shared: names of parameters that other stages have too, each with the group of those ranks.
        pipeline: the schedule over the stages, where there are several.
    """

    network: paddle.nn.Layer
    cuts: dict[str, Cut]
    topology: Topology
    partial: tuple[str, ...] = ()
    holders: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    shared: tuple[tuple[str, Group], ...] = ()
    pipeline: Pipeline | None = None

    def is_here(self, name: str) -> bool:
        """Whether this rank's stage has the parameter; of a name that is no parameter's, too."""
        return self.topology.pp_rank in self.holders.get(name, (self.topology.pp_rank,))

    def home(self, name: str) -> int:
        """The stage that stands for all that have the parameter."""
        return self.holders[name][0] if self.holders else 0

    def is_home(self, name: str) -> bool:
        """Whether this rank's stage does."""
        return self.home(name) == self.topology.pp_rank


def build_network(
    build: Callable[[], paddle.nn.Layer], plan: Callable[[], Plan], config: Any, ranks: Ranks, section: Any
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
    topology = ranks.topology
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
    share = Share(network, cuts, topology)
    if topology.pp > 1:
        share = _with_pipeline(share, plan(), config.hidden_size, ranks, section)
    allocate(network)
    own = dict(network.named_parameters())
    return replace(share, partial=tuple(name for name in partial if name in own))


def _with_pipeline(share: Share, plan: Plan, width: int, ranks: Ranks, section: Any) -> Share:
    from ppernie.parallel.pipeline import Pipeline
    from ppernie.parallel.stages import Stages

    assert isinstance(ranks, Fleet)
    stages = Stages(share.network, plan, width, ranks.topology, section.virtual_stages)
    groups = {several: ranks.group_of(several) for several in sorted(set(stages.holders.values())) if len(several) > 1}
    shared = [(name, groups.get(several)) for name, several in stages.holders.items()]
    parts = ranks.topology.mp if section.sequence_parallel else 1
    return replace(
        share,
        holders=stages.holders,
        shared=tuple((name, group) for name, group in shared if group is not None),
        pipeline=Pipeline(share.network, stages, ranks, section.virtual_stages, parts),
    )


def draw_parameters(share: Share, names: Iterable[str], seed: int) -> None:
    """Draws those of the parameters that are here, each from the seed and its own name, whole, and keeps the part.

    So the start of a run does not depend on how its network is cut.
    """
    own, topology = dict(share.network.named_parameters()), share.topology
    for name in filter(own.__contains__, names):
        cut = share.cuts[name]
        paddle.seed(mixed([seed, *name.encode()]))
        whole = share.network.draw(name, cut.shape)
        if topology.mp == 1 or cut.axis is None:
            own[name].set_value(whole)
        else:
            own[name].set_value(cut.take(whole.numpy(), topology.mp, topology.mp_rank))


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


def parts_of(tensors: Mapping[str, Tensor], share: Share) -> dict[str, Tensor]:
    """Of stored tensors those that this rank has, as it has them."""
    mp, rank = share.topology.mp, share.topology.mp_rank
    here = {name: tensor for name, tensor in tensors.items() if share.is_here(name)}
    if mp == 1:
        return here
    return {
        name: tensor if share.cuts[name].axis is None else Part(tensor, share.cuts[name], mp, rank)
        for name, tensor in here.items()
    }
