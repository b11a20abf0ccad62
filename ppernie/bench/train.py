"""A CPU training step of ERNIE beside the same model in PaddleNLP and Hugging Face transformers.

A step is forward, backward and AdamW in float32 with dropout 0.1 on 8 texts of 128 tokens. Each side lives in a
process of its own, and the sides take turns, so that what else the machine does hits all of them alike. Our last
layer is computed for the first token only, the one that the head reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from ppernie.bench.side import Side, ask_in_turn
from ppernie.bench.sizes import variant_of
from ppernie.bench.train_side import BASELINE, SIDES
from ppernie.table import render

_WARM_UP = 3


def benchmark(sizes: Sequence[str], rounds: int, threads: int) -> str:
    """Measures and returns a table; ratios are to PaddleNLP, of times as the median over rounds.

    Args:
        sizes: keys of ``ppernie.bench.sizes.VARIANTS``.
        rounds: timed steps for each side, after a few that are not counted.
        threads: threads for each side.
    """
    variants = {size: variant_of(size) for size in sizes}
    rows = [row for size, variant in variants.items() for row in _measure(size, variant, rounds, threads)]
    columns = ("size", "side", "median ms", "time ratio", "peak MB", "memory ratio", "note")
    used = [column for column in columns if any(column in row for row in rows)]
    return render([{column: row.get(column, "") for column in used} for row in rows])


def _measure(size: str, variant: str, rounds: int, threads: int) -> list[dict[str, object]]:
    sides = {name: Side("ppernie.bench.train_side", [name, variant], threads) for name in SIDES}
    answers = ask_in_turn(sides, _WARM_UP + rounds)
    counted = {name: given[_WARM_UP:] for name, given in answers.items()}
    baseline = None if sides[BASELINE].error else counted[BASELINE]
    return [
        {"size": size, "side": name, **({"note": side.error} if side.error else _row(counted[name], baseline))}
        for name, side in sides.items()
    ]


def _row(answers: list[dict[str, Any]], baseline: list[dict[str, Any]] | None) -> dict[str, object]:
    peak = answers[-1]["peak_mb"]
    row: dict[str, object] = {"median ms": f"{1000 * median(answer['seconds'] for answer in answers):.0f}"}
    if peak:
        row["peak MB"] = f"{peak:.0f}"
    if baseline:
        pairs = zip(answers, baseline, strict=True)
        row["time ratio"] = f"{median(own['seconds'] / other['seconds'] for own, other in pairs):.2f}"
        if peak:
            row["memory ratio"] = f"{peak / baseline[-1]['peak_mb']:.2f}"
    return row
