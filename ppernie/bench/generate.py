"""Tokens a second of greedy generation, beside PaddleNLP's GLM and Hugging Face's Llama of the same size.

A batch of 4 prompts of 32 tokens, 64 new ones each, a vocabulary of 10,000, in float32 on the CPU. Each side lives in a
process of its own, and the sides take turns, so that what else the machine does hits all of them alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median
from typing import Any

from ppernie.bench.generate_side import SIDES
from ppernie.bench.side import Side, ask_in_turn
from ppernie.errors import UserError
from ppernie.table import render

BASELINES = {"to PaddleNLP": "PaddleNLP GLM", "to Hugging Face": "Hugging Face Llama"}
_MODULE = "ppernie.bench.generate_side"
_WARM_UP = 1


def benchmark(sizes: Sequence[str], rounds: int, threads: int) -> str:
    """Measures and returns a table; ratios are medians over rounds, and more than 1 where a side is faster.

    Args:
        sizes: layers and hidden size, such as 4x256; the hidden size is a multiple of 64, a head's width.
        rounds: timed turns of each side.
        threads: of each side.

    Raises:
        UserError: a size is none.
    """
    parsed = [_parsed(size) for size in sizes]
    rows = [row for size in parsed for row in _measure(*size, rounds, threads)]
    used = [c for c in ("model", "side", "tokens/s", *BASELINES, "peak MB", "note") if any(row.get(c) for row in rows)]
    return render([{column: row.get(column, "") for column in used} for row in rows])


def _parsed(size: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,2})x([1-9]\d{0,4})", size)
    if not found or int(found[2]) % 64:
        raise UserError(f"size '{size}': expected layers and a hidden size that is a multiple of 64, such as 4x256")
    return int(found[1]), int(found[2])


def _measure(layers: int, hidden: int, rounds: int, threads: int) -> list[dict[str, object]]:
    sides = {name: Side(_MODULE, [name, str(layers), str(hidden)], threads) for name in SIDES}
    answers = ask_in_turn(sides, _WARM_UP + rounds)
    return [{"model": f"{layers}x{hidden}", "side": n, **_row(n, side.error, answers)} for n, side in sides.items()]


def _row(name: str, error: str | None, answers: dict[str, list[dict[str, Any]]]) -> dict[str, object]:
    if error:
        return {"note": error}
    speeds = {
        side: [answer["tokens"] / answer["seconds"] for answer in given[_WARM_UP:] if "error" not in answer]
        for side, given in answers.items()
    }
    row: dict[str, object] = {"tokens/s": f"{median(speeds[name]):.0f}"}
    for column, other in BASELINES.items():
        if other != name and len(speeds[other]) == len(speeds[name]):
            row[column] = f"{median(a / b for a, b in zip(speeds[name], speeds[other], strict=True)):.2f}"
    if peak := answers[name][-1].get("peak_mb"):
        row["peak MB"] = f"{peak:.0f}"
    return row
