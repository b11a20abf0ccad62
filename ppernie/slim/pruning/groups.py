"""Heads and neurons as the family's plan has them: which weights make one, and how they are put in order and cut.

A layer cut by inputs and the layers cut by outputs beside it are the two ends of the same units: attention heads where
the plan says that the layer around them has some, neurons otherwise. Nothing here knows a family's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ppernie.errors import UserError
from ppernie.parallel.cut import Cut
from ppernie.parallel.plan import Heads, PerHead, Plan, Row
from ppernie.slim.weight_only.selection import block_of

if TYPE_CHECKING:
    import paddle


@dataclass(frozen=True)
class Group:
    """Units of one layer.

    Attributes:
        row: name of the layer that reads them side by side, the one cut by inputs.
        units: how many there are.
        are_heads: whether they are attention heads.
        cuts: layouts of the parameters that have a part for each unit, by name.
    """

    row: str
    units: int
    are_heads: bool
    cuts: Mapping[str, Cut]


@dataclass(frozen=True)
class Groups:
    """The units of a network's layers.

    Attributes:
        own: those of each layer.
        shared: layouts of parameters outside of the layers with a part for each head, which all layers read: their
            heads have one order then.
    """

    own: tuple[Group, ...]
    shared: Mapping[str, Cut]


def groups_of(network: paddle.nn.Layer, plan: Plan, config: Any) -> Groups:
    """What can be pruned of a network.

    Raises:
        UserError: the plan does not fit the network, or names nothing that could be pruned.
    """
    cuts = {name: cut for name, cut in plan.cuts(network, config, 1).items() if cut.axis is not None}
    own = []
    for name, layer in network.named_sublayers():
        if block_of(name, plan) is None or not _is(name, Row, plan):
            continue
        parent = name.rpartition(".")[0]
        rule = plan.rule(parent, has_parameters=False)
        are_heads = rule is not None and isinstance(rule.kind, Heads)
        units = config.num_attention_heads if are_heads else int(layer.weight.shape[0])
        beside = {parameter: cut for parameter, cut in cuts.items() if parameter.startswith(f"{parent}.")}
        own.append(Group(name, units, are_heads, beside))
    if not own:
        raise UserError("Slim.width: the plan of this network names no layers with heads or neurons")
    shared = {
        name: cut
        for name, cut in cuts.items()
        if block_of(name, plan) is None and _is(name.rpartition(".")[0], PerHead, plan)
    }
    return Groups(tuple(own), shared)


def take_units(weights: Mapping[str, np.ndarray], groups: Groups, chosen: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Weights with these units of each group, in this order; the rest as it is.

    Args:
        chosen: numbers of units, int64 [n], by ``Group.row``; those of heads are equal where ``groups.shared`` is not
            empty.
    """
    taken = dict(weights)
    for group in groups.own:
        for name, cut in group.cuts.items():
            taken[name] = _taken(weights[name], cut, group.units, chosen[group.row])
    heads = next((group for group in groups.own if group.are_heads), None)
    if heads is not None:
        for name, cut in groups.shared.items():
            taken[name] = _taken(weights[name], cut, heads.units, chosen[heads.row])
    return taken


def _taken(array: np.ndarray, cut: Cut, units: int, chosen: np.ndarray) -> np.ndarray:
    axis = cut.axis
    assert axis is not None
    apart = array.reshape(*array.shape[:axis], cut.blocks, units, -1, *array.shape[axis + 1 :])
    taken = apart.take(chosen, axis=axis + 1)
    return np.ascontiguousarray(taken.reshape(*array.shape[:axis], -1, *array.shape[axis + 1 :]))


def _is(name: str, kind: type, plan: Plan) -> bool:
    rule = plan.rule(name, has_parameters=True)
    return rule is not None and isinstance(rule.kind, kind)


def kept_units(units: int, width: float) -> int:
    """How many units a width keeps, rounded down. Raises UserError where it is none."""
    # 0.29 * 100 is 28.999...
    kept = int(round(units * width, 6))
    if kept < 1:
        raise UserError(f"Slim.width.widths: {width:g} of {units} heads or neurons leaves none; keep more")
    return kept
