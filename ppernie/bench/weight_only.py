"""What quantisation costs a model: its loss with float weights and with those of 8 and 4 bits."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ppernie.config.sections import Config
from ppernie.slim.scores import megabytes, scores
from ppernie.slim.weight_only import Scheme
from ppernie.table import render
from ppernie.zoo.layerwise import convert_layers


def benchmark(folder: Path, config: Config, group_size: int) -> str:
    """Measures on ``Data.eval`` and returns a table; ``change`` is that of the loss.

    Args:
        folder: a model folder with float weights.
        config: names the data and the batch size.
        group_size: inputs that share a scale where they are grouped.

    Raises:
        UserError: the folder or the data cannot be read, or the weights not be quantised so.
    """
    plain = scores(folder, config).metrics["loss"]
    rows = [_row("float", folder, plain, plain)]
    for bits in (8, 4):
        for group in (None, group_size):
            scheme = Scheme.model_validate({"bits": bits, "group_size": group})
            name = f"int{bits}" + (f", groups of {group}" if group else ", whole rows")
            with tempfile.TemporaryDirectory() as scratch:
                quantized = Path(scratch) / "model"
                convert_layers(folder, quantized, scheme=scheme)
                rows.append(_row(name, quantized, scores(quantized, config).metrics["loss"], plain))
    return render(rows)


def _row(name: str, folder: Path, loss: float, plain: float) -> dict[str, object]:
    return {
        "weights": name,
        "MB": f"{megabytes(folder):.1f}",
        "loss": f"{loss:.5f}",
        "change": f"{100 * (loss / plain - 1):+.3f}%",
    }
