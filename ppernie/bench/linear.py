"""A linear layer over weights of 8 or 4 bits beside Paddle's own over float32.

One layer of random numbers, for some numbers of rows: 1 to 8 as in generation, more as in reading a prompt. Both
products are timed in turn, in one process. GB/s are those of the stored weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ppernie.bench.side import Side
from ppernie.errors import UserError
from ppernie.table import render

WEIGHTS = {"int8": (8, None), "int8 in groups": (8, 64), "int4": (4, None), "int4 in groups": (4, 64)}


def benchmark(inputs: int, outputs: int, rows: Sequence[int], rounds: int, threads: int) -> str:
    """Measures and returns a table; times are medians.

    Raises:
        UserError: the measurement failed.
    """
    side = Side("ppernie.bench.linear_side", [str(inputs), str(outputs), str(rounds)], threads)
    try:
        return render([_row(side, name, count) for name in WEIGHTS for count in rows])
    finally:
        side.close()


def _row(side: Side, name: str, rows: int) -> dict[str, object]:
    answer: dict[str, Any] = side.ask(json.dumps([*WEIGHTS[name], rows]))
    if "error" in answer:
        raise UserError(f"bench linear: {answer['error']}")
    own, plain = answer["own"], answer["plain"]
    return {
        "weights": name,
        "rows": rows,
        "ms": f"{1000 * own:.2f}",
        "float32 ms": f"{1000 * plain:.2f}",
        "times faster": f"{plain / own:.2f}",
        "GB/s": f"{answer['nbytes'] / own / 1e9:.1f}",
        "float32 GB/s": f"{answer['plain_nbytes'] / plain / 1e9:.1f}",
        "difference": f"{answer['difference']:.0e}",
    }
