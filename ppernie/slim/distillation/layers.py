"""Which layer of a teacher each layer of a student learns from."""

from __future__ import annotations

from ppernie.errors import UserError
from ppernie.slim.distillation.settings import LayerMap

#: (the student's, the teacher's) layers, counted from 1.
Pairs = tuple[tuple[int, int], ...]


def layer_pairs(layers: LayerMap, student: int, teacher: int, key: str) -> Pairs:
    """The pairs of a map between networks of so many layers.

    ``uniform`` has g(m) = m * teacher / student, rounded down: 3, 6, 9, 12 for 4 of 12.

    Args:
        key: of the map in the config, for messages.

    Raises:
        UserError: a list does not name one of the teacher's layers for each of the student's.
    """
    if layers == "last":
        return ((student, teacher),)
    if layers == "uniform":
        if student > teacher:
            raise UserError(f"{key}: a student of {student} layers is deeper than its teacher of {teacher}; list them")
        return tuple((layer, layer * teacher // student) for layer in range(1, student + 1))
    if len(layers) != student or max(layers) > teacher:
        raise UserError(f"{key}: {layers} must name one of the teacher's {teacher} layers for each of {student}")
    return tuple(enumerate(layers, start=1))
