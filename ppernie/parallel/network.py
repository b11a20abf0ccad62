"""A network's parameters on this rank: allocated, drawn, filled and brought together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import paddle

from ppernie.errors import UserError
from ppernie.parallel.cut import Cut
from ppernie.parallel.placement import Placement, Step
from ppernie.parallel.plan import layers_of
from ppernie.parallel.ranks import Fleet, mixed
from ppernie.parallel.recompute import recompute_regions
from ppernie.zoo.layout import Tensor
from ppernie.zoo.weights import allocate

if TYPE_CHECKING:
    from paddle.distributed.communication.group import Group

    from ppernie.parallel.pipeline import Pipeline
    from ppernie.parallel.plan import Plan
    from ppernie.parallel.ranks import Ranks
    from ppernie.parallel.sharding import Shards
    from ppernie.parallel.topology import Topology
    from ppernie.peft import Base


@dataclass(frozen=True)
class Share:
    """A network as one rank has it.

    Attributes:
        network: with the parameters of this rank.
        cuts: the layout of each parameter of the whole network by its dotted name.
        partial: names of parameters that every tensor-parallel rank has whole, with a part of their gradient on each.
        holders: the pipeline stages that have each parameter; empty without a pipeline.
        shared: groups of ranks of several stages, each with the names of the parameters that just these have.
        pipeline: the schedule over the stages, where there are several.
        shards: what sharding ranks share beside the optimizer state, from stage 2 on.
        frozen: names of the parameters that keep the values of ``base``, and so are in no checkpoint.
        base: the pretrained network that adapters learn beside.
    """

    network: paddle.nn.Layer
    cuts: dict[str, Cut]
    topology: Topology
    partial: tuple[str, ...] = ()
    holders: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    shared: tuple[tuple[Group, tuple[str, ...]], ...] = ()
    pipeline: Pipeline | None = None
    shards: Shards | None = None
    frozen: frozenset[str] = frozenset()
    base: Base | None = None

    @property
    def rows(self) -> Mapping[str, Cut]:
        """The cuts over the sharding ranks, by name, of what the tensor-parallel cuts leave of parameters."""
        return self.shards.rows if self.shards else {}

    def is_here(self, name: str) -> bool:
        """Whether this rank's stage has the parameter; of a name that is no parameter's, too."""
        return self.topology.pp_rank in self.holders.get(name, (self.topology.pp_rank,))

    def home(self, name: str) -> int:
        """The stage that stands for all that have the parameter."""
        return self.holders[name][0] if self.holders else 0

    def is_home(self, name: str) -> bool:
        """Whether this rank's stage does."""
        return self.home(name) == self.topology.pp_rank

    def placement(self, name: str, shape: tuple[int, ...]) -> Placement:
        """Where this rank's part of a parameter lies; a name that is no parameter's is of a tensor that all have.

        Args:
            shape: of the whole tensor, where it is no parameter.
        """
        topology = self.topology
        over_mp = Step(self.cuts.get(name, Cut(shape)), topology.mp, topology.mp_rank)
        rows = self.rows.get(name, Cut(over_mp.cut.local_shape(topology.mp)))
        return Placement((over_mp, Step(rows, topology.sharding, topology.sharding_rank)))

    def moment_placement(self, name: str, shape: tuple[int, ...]) -> Placement:
        """Of ``<parameter>.<moment>``: as its parameter's; what else the optimizer has is one number."""
        parameter, _, kind = name.rpartition(".")
        placement = self.placement(parameter if kind.startswith("moment") else name, shape)
        # At stage 1 sharding ranks each have the moments of other parameters.
        return placement if self.shards else Placement(placement.steps[:1])

    def copies(self, name: str) -> int:
        """How many ranks of this stage have the same part of a parameter."""
        topology = self.topology
        over_mp = topology.mp if self.cuts[name].axis is None else 1
        return over_mp * (topology.dp if name in self.rows else topology.data_world)


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
        share = _with_pipeline(share, plan, config.hidden_size, ranks, section)
    if topology.sharding > 1 and section.sharding_stage > 1:
        share = _with_shards(share, plan, ranks, section.sharding_stage)
    allocate(network.parameters())
    own = dict(network.named_parameters())
    return replace(share, partial=tuple(name for name in partial if name in own))


def _with_pipeline(share: Share, plan: Callable[[], Plan], width: int, ranks: Ranks, section: Any) -> Share:
    from ppernie.parallel.pipeline import Pipeline
    from ppernie.parallel.stages import Stages

    assert isinstance(ranks, Fleet)
    stages = Stages(share.network, plan(), width, ranks.topology, section.virtual_stages, ranks.alike)
    groups = {several: ranks.group_of(several) for several in sorted(set(stages.holders.values())) if len(several) > 1}
    names = {several: tuple(name for name, own in stages.holders.items() if own == several) for several in groups}
    parts = ranks.topology.mp if section.sequence_parallel else 1
    return replace(
        share,
        holders=stages.holders,
        shared=tuple((group, names[several]) for several, group in groups.items() if group is not None),
        pipeline=Pipeline(share.network, stages, ranks, section.virtual_stages, parts),
    )


def _with_shards(share: Share, plan: Callable[[], Plan], ranks: Ranks, stage: int) -> Share:
    from ppernie.parallel.sharding import Shards

    assert isinstance(ranks, Fleet)
    blocks = layers_of(share.network, plan().blocks) if stage == 3 else []
    if stage == 3 and not blocks:
        raise UserError("Distributed.sharding_stage = 3: the family's plan names no blocks of this network; take 2")
    return replace(share, shards=Shards(share.network, blocks, ranks.sharding_group))


def draw_parameters(share: Share, names: Iterable[str], seed: int) -> None:
    """Draws those of the parameters that are here, each from the seed and its own name, whole, and keeps the part.

    So the start of a run does not depend on how its network is cut.
    """
    own = dict(share.network.named_parameters())
    for name in filter(own.__contains__, names):
        placement = share.placement(name, share.cuts[name].shape)
        paddle.seed(mixed([seed, *name.encode()]))
        whole = share.network.draw(name, placement.whole_shape)
        own[name].set_value(whole if placement.is_whole else placement.take(whole.numpy()))


class Part(NamedTuple):
    """This rank's part of a stored tensor; the whole is read, and let go."""

    tensor: Tensor
    placement: Placement

    @property
    def shape(self) -> tuple[int, ...]:
        return self.placement.shape

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.placement.take(np.asarray(self.tensor))


def parts_of(tensors: Mapping[str, Tensor], share: Share) -> dict[str, Tensor]:
    """Of stored tensors those that this rank has, as it has them."""
    here = {
        name: (tensor, share.placement(name, tensor.shape)) for name, tensor in tensors.items() if share.is_here(name)
    }
    return {
        name: tensor if placement.is_whole else Part(tensor, placement) for name, (tensor, placement) in here.items()
    }
