"""What one encoder learns from the layers of another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ppernie.errors import UserError
from ppernie.slim.distillation.layers import Pairs, layer_pairs
from ppernie.slim.distillation.settings import Distillation

if TYPE_CHECKING:
    from ppernie.architectures import EncoderConfig

#: What the run's own network is called, beside the names of students.
OWN = "own"

_KEY = "Slim.distillation"


@dataclass(frozen=True)
class Link:
    """Pairs of layers for each loss between a student and its teacher, checked.

    Attributes:
        widths: hidden sizes of the two.
        hidden: with the pair (0, 0) for the embeddings, unless only the last layers are compared.
        relation_heads: heads that queries, keys and values are cut into.
        sentence: of the last layers, or empty.
    """

    widths: tuple[int, int]
    hidden: Pairs
    attention: Pairs
    relation: Pairs
    relation_heads: int
    sentence: Pairs

    def hidden_of(self, side: int) -> set[int]:
        """Layers whose outputs are compared; side 0 is the student, 1 the teacher."""
        return {pair[side] for pair in (*self.hidden, *self.sentence)}

    def projected_of(self, side: int) -> set[int]:
        """Layers whose queries, keys and values are compared."""
        return {pair[side] for pair in (*self.attention, *self.relation)}


def link(section: Distillation, student: EncoderConfig, teacher: EncoderConfig) -> Link:
    """What a student of one configuration learns from a teacher of another.

    Raises:
        UserError: the layers, heads or widths of the two do not fit a loss.
    """
    depths = student.num_hidden_layers, teacher.num_hidden_layers
    hidden, attention, relation = section.hidden, section.attention, section.relation
    if attention and student.num_attention_heads != teacher.num_attention_heads:
        raise UserError(
            f"{_KEY}.attention: the student has {student.num_attention_heads} heads and its teacher "
            f"{teacher.num_attention_heads}; take relation, which cuts them anew"
        )
    heads = (relation.heads if relation else None) or student.num_attention_heads
    if relation and (student.attention_size % heads or teacher.attention_size % heads):
        common = math.gcd(student.attention_size, teacher.attention_size)
        raise UserError(
            f"{_KEY}.relation.heads: {heads} does not divide the widths {student.attention_size} and "
            f"{teacher.attention_size}; take a divisor of {common}"
        )
    states: Pairs = ()
    if hidden:
        states = layer_pairs(hidden.layers, *depths, f"{_KEY}.hidden.layers")
        if hidden.layers != "last":
            states = ((0, 0), *states)
    return Link(
        widths=(student.hidden_size, teacher.hidden_size),
        hidden=states,
        attention=layer_pairs(attention.layers, *depths, f"{_KEY}.attention.layers") if attention else (),
        relation=layer_pairs(relation.layers, *depths, f"{_KEY}.relation.layers") if relation else (),
        relation_heads=heads,
        sentence=(depths,) if section.sentence else (),
    )
