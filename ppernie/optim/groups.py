"""Which parameters decay, and which learn slower."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ppernie.errors import UserError

# What lies below the first layer, by parts of names.
_TABLES = ("embeddings.", "relative_positions.")
# The stack, and the layer's number in it.
_LAYER = re.compile(r"(?:(.+)\.)?layers\.(\d+)\.")


def decays(name: str, no_decay: Sequence[str]) -> bool:
    """Whether weight decay applies: none of the patterns occurs in the parameter's dotted name."""
    return not any(pattern in name for pattern in no_decay)


def layer_scales(names: Sequence[str], layer_decay: float, stacks: Sequence[Sequence[str]] = ()) -> dict[str, float]:
    """Factor on the learning rate of each parameter.

    The head has 1, the topmost of L layers ``layer_decay``, the layer below it ``layer_decay ** 2``, and the
    embeddings ``layer_decay ** (L + 1)`` (Howard and Ruder 2018, section 3.2, as ELECTRA applies it).

    Args:
        names: of the whole network's parameters.
        stacks: names of stacks of layers, of those above each other from the lowest up, each with those that stand
            beside it. What of a stack is in no layer counts as its first one. A stack that is not named stands at the
            bottom.

    Raises:
        UserError: no parameter is of a numbered layer.
    """
    if layer_decay == 1.0:
        return dict.fromkeys(names, 1.0)
    layers = {name: (match.group(1), int(match.group(2))) for name in names if (match := _LAYER.match(name))}
    if not layers:
        raise UserError("Optimizer.layer_decay needs a model with numbered layers; set it to 1.0 for this one")
    # Layers below each stack.
    below: dict[str, int] = {}
    for level in stacks:
        lower = max((below[stack] + number + 1 for stack, number in layers.values() if stack in below), default=0)
        below |= dict.fromkeys(level, lower)
    heights = {name: below.get(stack, 0) + number for name, (stack, number) in layers.items()}
    depth = max(heights.values()) + 1

    def scale(name: str) -> float:
        if name in heights:
            return layer_decay ** (depth - heights[name])
        if any(table in name for table in _TABLES):
            return layer_decay ** (depth + 1)
        own = [lower for stack, lower in below.items() if name.startswith(f"{stack}.")]
        return layer_decay ** (depth - own[0]) if own else 1.0

    return {name: scale(name) for name in names}
