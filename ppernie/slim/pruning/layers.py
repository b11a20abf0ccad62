"""Layer dropping: some of a network's layers, as they are (Fan et al. 2019, arXiv:1909.11556, section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ppernie.errors import UserError
from ppernie.parallel.plan import Plan
from ppernie.slim.distillation.layers import layer_pairs
from ppernie.slim.pruning.model import described_with, open_model
from ppernie.slim.weight_only.selection import block_of

if TYPE_CHECKING:
    from ppernie.config.sections import Config
    from ppernie.slim.pruning.settings import Layers

_KEY = "Slim.layers.keep"


def drop_layers(source: Path, target: Path, options: Layers, config: Config) -> None:
    """Writes the model without the layers that are not kept.

    Raises:
        UserError: the folder cannot be read, or its network has no such layers.
    """
    model = open_model(source)
    blocks = blocks_of(model.weights, model.plan)
    kept = [blocks[number - 1] for number in _numbers(options.keep, len(blocks))]
    new_names = dict(zip(kept, blocks, strict=False))
    weights = {}
    for name, array in model.weights.items():
        block = block_of(name, model.plan)
        if block is None:
            weights[name] = array
        elif block in new_names:
            weights[new_names[block] + name.removeprefix(block)] = array
    described = described_with(model.description, _KEY, num_hidden_layers=len(kept))
    model._replace(description=described, weights=weights).save(target)


def blocks_of(names: Iterable[str], plan: Plan) -> list[str]:
    """Dotted names of the layers that parameters of these names lie in, from the first to the last."""
    found = {block for name in names if (block := block_of(name, plan)) is not None}
    return sorted(found, key=lambda block: int(block.rpartition(".")[2]))


def _numbers(keep: int | list[int], layers: int) -> list[int]:
    """Numbers of the kept layers, from 1."""
    wanted = max(keep) if isinstance(keep, list) else keep
    if wanted > layers:
        raise UserError(f"{_KEY}: the model has {layers} layers and not {wanted}; dropping brings none back")
    return keep if isinstance(keep, list) else [layer for _, layer in layer_pairs("uniform", keep, layers, _KEY)]
