"""What quantisation costs models: their loss with float weights and with those of 8 and 4 bits.

The rows are those of a table over sizes: each model with float weights, and with whole rows and groups of inputs that
share a scale.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ppernie.config.sections import Config
from ppernie.slim.scores import megabytes, scores
from ppernie.slim.weight_only import Scheme
from ppernie.slim.weight_only.folder import check_scheme
from ppernie.table import render
from ppernie.zoo.layerwise import convert_layers


def benchmark(folders: Sequence[Path], config: Config, group_size: int) -> str:
    """Measures on ``Data.eval`` and returns a table; ``change`` is that of the loss.

    Args:
        folders: model folders with float weights.
        config: names the data and the batch size.
        group_size: inputs that share a scale where they are grouped.

    Raises:
        UserError: a folder or the data cannot be read, or the weights of one not be quantised so, which is told before
            anything is measured.
    """
    schemes = [
        Scheme.model_validate({"bits": bits, "group_size": group}) for bits in (8, 4) for group in (None, group_size)
    ]
    for folder in folders:
        for scheme in schemes:
            check_scheme(folder, scheme)
    return render([row for folder in folders for row in _rows(folder, config, schemes)])


def _rows(folder: Path, config: Config, schemes: Sequence[Scheme]) -> list[dict[str, object]]:
    plain = scores(folder, config).metrics["loss"]
    rows = [{"model": folder, **_row("float", folder, plain, plain)}]
    for scheme in schemes:
        group = scheme.group_size
        name = f"int{scheme.bits}, " + (f"groups of {group}" if group else "whole rows")
        with tempfile.TemporaryDirectory() as scratch:
            quantized = Path(scratch) / "model"
            convert_layers(folder, quantized, scheme=scheme)
            rows.append({"model": folder, **_row(name, quantized, scores(quantized, config).metrics["loss"], plain)})
    return rows


def _row(name: str, folder: Path, loss: float, plain: float) -> dict[str, object]:
    return {
        "weights": name,
        "MB": f"{megabytes(folder):.1f}",
        "loss": f"{loss:.5f}",
        "change": f"{100 * (loss / plain - 1):+.3f}%",
    }
