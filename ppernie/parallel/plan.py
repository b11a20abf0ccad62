"""A family's plan: one table that says how each of its weights is cut over tensor-parallel ranks.

A rule names layers by a pattern on their dotted names, and what becomes of them. The plan is applied from outside to
a network that was built lazily, so no rank ever holds the whole: fleet's parallel layers take the place of the plain
ones. A parameter that no rule names, and a rule that matches nothing it could cut, are errors.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ppernie.errors import UserError
from ppernie.parallel.cut import Cut

if TYPE_CHECKING:
    import paddle


@dataclass(frozen=True)
class Column:
    """A linear layer cut by outputs.

    Args:
        heads: parts that an attention head has side by side (3: query, key and value); a head stays whole.
        gated: whether, in networks whose configuration says ``gated``, its outputs are the two halves of a gated unit,
            each of which is cut.
    """

    heads: int = 0
    gated: bool = False


@dataclass(frozen=True)
class Row:
    """A linear layer cut by inputs, which arrive cut; its outputs are summed over the ranks."""


@dataclass(frozen=True)
class Vocab:
    """An embedding cut by rows."""


@dataclass(frozen=True)
class VocabHead:
    """Scores over the vocabulary, cut as the table that they are tied to; the loss over them is parallel, too."""


@dataclass(frozen=True)
class PerHead:
    """A layer that keeps its code while its ``weight`` is cut along ``axis``, which counts attention heads."""

    axis: int


@dataclass(frozen=True)
class Heads:
    """A layer whose ``attribute`` counts attention heads: each rank has its share of them, and its own dropout."""

    attribute: str = "num_heads"


@dataclass(frozen=True)
class Whole:
    """A layer that every rank holds whole, with equal gradients."""


Kind = Column | Row | Vocab | VocabHead | PerHead | Heads | Whole


class Rule(NamedTuple):
    """A pattern on dotted names of layers, in which ``*`` also matches dots, and what becomes of them."""

    pattern: str
    kind: Kind


@dataclass(frozen=True)
class Plan:
    """The rules of a family; of several that match a layer the first holds.

    Attributes:
        rules: for what all of its networks have.
        optional: for what only some have, such as heads.
        sequence: pattern of the layer in which sequence parallelism cuts the sequences.
        entry: pattern of the layer that turns ids, its first argument, into what the first block takes.
        blocks: patterns of the layers that repeat, each taking first what the one before it returned; recomputed in
            mode ``full``, and dealt out to the stages of a pipeline. What follows them is of the last stage.
        everywhere: patterns of layers that every stage of a pipeline needs, such as a bias that all blocks share.
        attention: patterns of what is recomputed in mode ``selective``.
    """

    rules: tuple[Rule, ...]
    optional: tuple[Rule, ...] = ()
    sequence: str | None = None
    entry: str | None = None
    blocks: tuple[str, ...] = ()
    everywhere: tuple[str, ...] = ()
    attention: tuple[str, ...] = ()

    def cuts(self, network: paddle.nn.Layer, config: Any, degree: int) -> dict[str, Cut]:
        """The layout of every parameter by its dotted name, from the whole, plain network.

        Args:
            config: the network's configuration; its ``num_attention_heads`` are those of ``Column.heads``.
            degree: number of tensor-parallel ranks.

        Raises:
            UserError: a parameter is not named, a rule matches nothing, or a weight cannot be cut so.
        """
        found: dict[str, Cut] = {}
        used: set[Rule] = set()
        unnamed = []
        for name, layer in network.named_sublayers():
            rule = self.rule(name, own_parameters(layer))
            if rule is not None:
                used.add(rule)
            for parameter, cut in _cuts_of(layer, rule.kind if rule else None, config):
                found[f"{name}.{parameter}"] = cut
                if rule is None:
                    unnamed.append(f"{name}.{parameter}")
        if unnamed:
            raise UserError(f"the plan names no rule for {', '.join(unnamed[:10])}")
        if idle := [rule.pattern for rule in self.rules if rule not in used]:
            raise UserError(f"these rules of the plan match nothing: {', '.join(idle)}")
        for name, cut in found.items():
            cut.check(name, degree)
        return found

    def rule(self, name: str, has_parameters: bool) -> Rule | None:
        """The first rule for a layer; ``Heads``, and some heads of the vocabulary, have no parameters of their own."""
        for rule in (*self.rules, *self.optional):
            fits = isinstance(rule.kind, VocabHead) or has_parameters != isinstance(rule.kind, Heads)
            if fits and matches(name, [rule.pattern]):
                return rule
        return None


def layers_of(network: paddle.nn.Layer, patterns: Sequence[str]) -> list[paddle.nn.Layer]:
    """The layers of a network whose dotted names match one of the patterns."""
    return [layer for name, layer in network.named_sublayers() if matches(name, patterns)]


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a dotted name matches one of the patterns."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def own_parameters(layer: paddle.nn.Layer) -> bool:
    """Whether a layer has parameters that are not its sublayers'."""
    return any(parameter is not None for parameter in layer._parameters.values())


def _cuts_of(layer: paddle.nn.Layer, kind: Kind | None, config: Any) -> Iterator[tuple[str, Cut]]:
    for name, parameter in layer._parameters.items():
        if parameter is not None:
            yield name, _cut(kind, name, tuple(parameter.shape), config)


def _cut(kind: Kind | None, name: str, shape: tuple[int, ...], config: Any) -> Cut:
    if isinstance(kind, Column):
        unit = shape[-1] // config.num_attention_heads if kind.heads else 1
        return Cut(shape, len(shape) - 1, blocks=2 if kind.gated and config.gated else 1, unit=unit)
    if isinstance(kind, Row) and name == "weight":
        return Cut(shape, 0)
    if isinstance(kind, (Vocab, VocabHead)):
        return Cut(shape, 0)
    if isinstance(kind, PerHead):
        return Cut(shape, kind.axis)
    return Cut(shape)
