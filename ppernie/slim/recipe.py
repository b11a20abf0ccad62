"""The steps of the section ``Slim``, each from a model folder to a smaller one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppernie.errors import UserError
from ppernie.files import writing
from ppernie.slim.quantization.folder import quantize
from ppernie.slim.weight_only import Scheme
from ppernie.zoo.layerwise import convert_layers

if TYPE_CHECKING:
    from ppernie.config.sections import Config


def _store(source: Path, target: Path, scheme: Scheme, config: Config) -> None:
    convert_layers(source, target, scheme=scheme)


# By the keys of the section, in their order.
_STEPS: dict[str, Callable[[Path, Path, Any, Config], None]] = {"quantization": quantize, "weight_only": _store}


def compress(source: Path, target: Path, config: Config) -> None:
    """Runs the steps that a config names; what is between two of them lies beside the target for that long.

    Raises:
        UserError: the recipe names no step, the source is no model folder or does not suit a step, or the target is
            there already or cannot be written.
    """
    steps = [(step, options) for key, step in _STEPS.items() if (options := getattr(config.Slim, key)) is not None]
    if not steps:
        raise UserError(f"Slim names no step; set one of {', '.join(f'Slim.{key}' for key in _STEPS)}")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}.") as between:
            folder = source
            for number, (step, options) in enumerate(steps, start=1):
                written = target if number == len(steps) else Path(between, str(number))
                step(folder, written, options, config)
                folder = written
