"""What a distilled network has beside itself while it learns: projections, and students of its own.

They are sublayers of the network under one name, so that checkpoints, optimizer and ranks treat them as any other
parameter; the model folder leaves them out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import paddle
from paddle import nn

from ppernie.nn.layers import Linear
from ppernie.slim.distillation.links import Link

#: The sublayer's name.
COMPANIONS = "distillation"
_PREFIX = f"{COMPANIONS}."
_STUDENTS = f"{_PREFIX}students."


class Companions(nn.Layer):
    """Projections of hidden states for each link, and the students.

    Args:
        links: by student; the network's own is ``links.OWN``.
        students: by name.
    """

    def __init__(self, links: Mapping[str, Link], students: Mapping[str, nn.Layer]) -> None:
        super().__init__()
        self.projections = nn.LayerDict()
        for name, link in links.items():
            for layer, _ in link.hidden:
                self.projections[_key(name, layer)] = Linear(*link.widths)
        self.students = nn.LayerDict(dict(students))

    def project(self, name: str, layer: int, states: paddle.Tensor) -> paddle.Tensor:
        """A student's hidden states, as wide as its teacher's."""
        return self.projections[_key(name, layer)](states)


def _key(name: str, layer: int) -> str:
    return f"{name}-{layer}"


def add_companions(network: Any, companions: Companions) -> None:
    """Gives a network its companions; its ``draw`` knows them from then on."""
    network.draw = functools.partial(_draw, network.draw, companions)
    network.add_sublayer(COMPANIONS, companions)


def companions_of(network: Any) -> Companions:
    """The companions of a network that has some."""
    return getattr(network, COMPANIONS)


def is_companion(name: str) -> bool:
    """Whether the parameter is not of the network that a run is about."""
    return name.startswith(_PREFIX)


def student_weights(weights: Mapping[str, Any], student: str) -> dict[str, Any]:
    """A student's weights by its own names, from those of the network that it accompanies."""
    prefix = f"{_STUDENTS}{student}."
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def _draw(
    draw_own: Callable[[str, Sequence[int]], paddle.Tensor],
    companions: Companions,
    name: str,
    shape: Sequence[int],
) -> paddle.Tensor:
    """Values to start a parameter with: a projection keeps what it is given as far as the widths allow."""
    if name.startswith(_STUDENTS):
        student, _, own = name.removeprefix(_STUDENTS).partition(".")
        return companions.students[student].draw(own, shape)
    if not name.startswith(_PREFIX):
        return draw_own(name, shape)
    if len(shape) == 1:
        return paddle.zeros(shape)
    inputs, outputs = shape
    return paddle.eye(inputs) if inputs == outputs else paddle.normal(0.0, inputs**-0.5, shape)
