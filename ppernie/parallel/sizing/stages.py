"""Pipeline stages, and what each has of the network."""

from __future__ import annotations

from dataclasses import dataclass

from ppernie.parallel.sizing.degrees import Degrees, layers_of_stages
from ppernie.parallel.sizing.network import Module, Network


@dataclass(frozen=True)
class Stage:
    """One pipeline stage.

    Attributes:
        index: its place in the pipeline, from 0.
        layers: how many it has.
        layer: one of them.
        ends: of embedding and head, those that it has.
        copied: parameters that it holds beside another stage, which counts them: a table that the head is tied to.
    """

    index: int
    layers: int
    layer: Module
    ends: tuple[Module, ...]
    copied: int = 0

    def parameters(self, mp: int) -> float:
        """Numbers that one of ``mp`` ranks of the stage holds."""
        modules = [(self.layers, self.layer), *((1, end) for end in self.ends)]
        return self.copied / mp + sum(count * (module.cut / mp + module.whole) for count, module in modules)

    def trained(self, mp: int) -> float:
        """Of these, those that get a gradient."""
        return self.parameters(mp) - sum(end.idle for end in self.ends)


def stages(network: Network, degrees: Degrees) -> tuple[Stage, ...]:
    """The stages among which are the slowest and the largest: the first, one behind it, and the last.

    Inner stages are equal, but the earlier one has more micro-batches in flight.
    """
    layers = layers_of_stages(network.layers, degrees.pp, degrees.virtual_stages)
    if layers is None:
        raise ValueError(f"{network.layers} layers do not divide into {degrees.pp} stages")
    first, inner, last = layers
    if degrees.pp == 1:
        return (Stage(0, first, network.layer, (network.embedding, network.head)),)
    found = [Stage(0, first, network.layer, (network.embedding,))]
    if degrees.pp > 2:
        found.append(Stage(1, inner, network.layer, ()))
    # The last stage has its own copy of the table that the head shares with the embedding.
    found.append(Stage(degrees.pp - 1, last, network.layer, (network.head,), copied=network.tied))
    return tuple(found)
