"""Which parameters decay, and which learn slower."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ppernie.errors import UserError

# What lies below the first layer, by parts of names.
_TABLES = ("embeddings.", "relative_positions.")


def decays(name: str, no_decay: Sequence[str]) -> bool:
    """Whether weight decay applies: none of the patterns occurs in the parameter's dotted name."""
    return not any(pattern in name for pattern in no_decay)


def layer_scales(names: Sequence[str], layer_decay: float) -> dict[str, float]:
    """Factor on the learning rate of each parameter.

    The head has 1, the topmost of L layers ``layer_decay``, the layer below it ``layer_decay ** 2``, and the
    embeddings ``layer_decay ** (L + 1)`` (Howard and Ruder 2018, section 3.2, as ELECTRA applies it).
    """
    if layer_decay == 1.0:
        return dict.fromkeys(names, 1.0)
    layers = {name: re.search(r"(?:^|\.)layers\.(\d+)\.", name) for name in names}
    indices = [int(match.group(1)) for match in layers.values() if match]
    if not indices:
        raise UserError("Optimizer.layer_decay needs a model with numbered layers; set it to 1.0 for this one")
    depth = max(indices) + 1

    def scale(name: str) -> float:
        match = layers[name]
        if match:
            return layer_decay ** (depth - int(match.group(1)))
        return layer_decay ** (depth + 1) if any(table in name for table in _TABLES) else 1.0

    return {name: scale(name) for name in names}
