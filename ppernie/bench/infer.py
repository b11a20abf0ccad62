"""An exported ERNIE on the CPU beside PaddleNLP's eager model and ONNX Runtime.

Sequence classification of 128 tokens with a vocabulary of 40,000. ONNX Runtime runs the converted form of the
same export. Each side lives in a process of its own, and the sides take turns, so that what else the machine does
hits all of them alike. Our last layer is computed for the first token only, the one that the head reads.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ppernie.bench.infer_side import SIDES, WRITERS
from ppernie.bench.side import Side, ask_in_turn
from ppernie.bench.sizes import variant_of
from ppernie.errors import UserError
from ppernie.table import render

RATIOS = {"to PaddleNLP": "PaddleNLP eager", "to ORT": "ONNX Runtime fp32", "to own fp32": "ppernie fp32"}
_MODULE = "ppernie.bench.infer_side"
_WARM_UP = 1  # compiles kernels


def benchmark(sizes: Sequence[str], batches: Sequence[int], rounds: int, threads: int) -> str:
    """Measures and returns a table; ratios are medians over rounds, ``difference`` is to the own fp32 output.

    Args:
        sizes: keys of ``ppernie.bench.sizes.VARIANTS``.
        batches: texts in a batch.
        rounds: timed turns of each side.
        threads: of each side.

    Raises:
        UserError: a size is unknown, or the export failed.
    """
    return compare(_MODULE, list(WRITERS), list(SIDES), RATIOS, "ppernie fp32", sizes, batches, rounds, threads)


def compare(
    module: str,
    writers: Sequence[str],
    names: Sequence[str],
    ratios: Mapping[str, str],
    reference: str,
    sizes: Sequence[str],
    batches: Sequence[int],
    rounds: int,
    threads: int,
) -> str:
    """The table of ``benchmark`` for the sides of a module.

    Args:
        module: runs one side, or one writer; see ``ppernie.bench.infer_side``.
        writers: write what the sides read, one after the other; only the first must succeed.
        names: of the sides.
        ratios: the side that each column of ratios is to.
        reference: the side that outputs are compared with.
    """
    variants = {size: variant_of(size) for size in sizes}
    rows: list[dict[str, object]] = []
    for size, variant in variants.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = str(Path(scratch) / "export")
            if error := _write(module, writers, variant, folder, threads):
                raise UserError(f"the export failed: {error}")
            for batch in batches:
                sides = {name: Side(module, [name, variant, folder, str(batch)], threads) for name in names}
                answers = ask_in_turn(sides, _WARM_UP + rounds)
                rows += [
                    {"model": size, "batch": batch, "side": name} | _row(name, side.error, answers, ratios, reference)
                    for name, side in sides.items()
                ]
    columns = ("model", "batch", "side", "p50 ms", *ratios, "peak MB", "difference", "note")
    used = [column for column in columns if any(row.get(column) for row in rows)]
    return render([{column: row.get(column, "") for column in used} for row in rows])


def _write(module: str, writers: Sequence[str], variant: str, folder: str, threads: int) -> str | None:
    """Returns what went wrong with the first writer."""
    errors = []
    for side in writers:
        writer = Side(module, [side, variant, folder, "0"], threads)
        writer.close()
        errors.append(writer.error)
    return errors[0]


def _row(
    name: str,
    error: str | None,
    answers: Mapping[str, list[dict[str, Any]]],
    ratios: Mapping[str, str],
    reference: str,
) -> dict[str, object]:
    if error:
        return {"note": error}
    seconds = {
        side: [answer["seconds"] for answer in given[_WARM_UP:] if "error" not in answer]
        for side, given in answers.items()
    }
    last = {side: given[-1] for side, given in answers.items()}
    row: dict[str, object] = {"p50 ms": f"{1000 * median(seconds[name]):.1f}"}
    for column, other in ratios.items():
        if other != name and len(seconds[other]) == len(seconds[name]):
            row[column] = f"{median(a / b for a, b in zip(seconds[name], seconds[other], strict=True)):.2f}"
    if peak := last[name].get("peak_mb"):
        row["peak MB"] = f"{peak:.0f}"
    if name not in ("PaddleNLP eager", reference) and "output" in last[reference]:
        output, own = np.array(last[name]["output"]), np.array(last[reference]["output"])
        row["difference"] = f"{np.abs(output - own).max() / np.abs(own).max():.0e}"
    return row
