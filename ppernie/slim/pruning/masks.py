"""Masks over heads and neurons: one number for each, by which what it says is multiplied where it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import paddle

from ppernie.parallel.plan import Plan
from ppernie.slim.pruning.groups import Group, groups_of, kept_units


class Masks:
    """Masks of a network's units, 1 for all at first; hooks lay them over the inputs of the layers that read these.

    Attributes:
        values: float32 [units] by ``Group.row``; None leaves the inputs as they are.
    """

    def __init__(self, network: paddle.nn.Layer, groups: tuple[Group, ...]) -> None:
        self.groups = groups
        self.values: Mapping[str, paddle.Tensor] | None = None
        layers = dict(network.named_sublayers())
        for group in groups:
            layers[group.row].register_forward_pre_hook(self._hook(group.row))

    @contextmanager
    def over(self, values: Mapping[str, paddle.Tensor] | None) -> Iterator[None]:
        """Within it these are the masks."""
        before, self.values = self.values, values
        try:
            yield
        finally:
            self.values = before

    def _hook(self, row: str) -> Any:
        def hook(layer: paddle.nn.Layer, inputs: tuple[paddle.Tensor, ...]) -> Any:
            if self.values is None:
                return inputs
            mask, (x, *rest) = self.values[row], inputs
            by_unit = x.reshape([*x.shape[:-1], mask.shape[0], x.shape[-1] // mask.shape[0]])
            return (by_unit * mask.unsqueeze(-1).astype(x.dtype)).reshape(x.shape), *rest

        return hook


def ones(groups: tuple[Group, ...]) -> dict[str, paddle.Tensor]:
    """Masks that let everything through, and take gradients."""
    found = {group.row: paddle.ones([group.units]) for group in groups}
    for mask in found.values():
        mask.stop_gradient = False
    return found


class Widths:
    """A network that computes with a share of its heads and neurons, the first ones of each layer; at first with the
    first share.

    Args:
        plan, config: of the network, as ``groups_of`` takes them.

    Raises:
        UserError: a share leaves a layer without a head or neuron.
    """

    def __init__(self, network: paddle.nn.Layer, plan: Plan, config: Any, widths: Sequence[float]) -> None:
        groups = groups_of(network, plan, config).own
        self._values = {
            width: {group.row: _first(kept_units(group.units, width), group.units) for group in groups}
            for width in widths
        }
        self._masks = Masks(network, groups)
        self._masks.values = self._values[widths[0]]

    def at(self, width: float) -> AbstractContextManager[None]:
        """Within it the network computes with another of its shares."""
        return self._masks.over(self._values[width])


def _first(kept: int, units: int) -> paddle.Tensor:
    return (paddle.arange(units) < kept).astype("float32")
