"""A CPU training step of ERNIE beside the same model in PaddleNLP and Hugging Face transformers.

A step is forward, backward and AdamW in float32 with dropout 0.1 on 8 texts of 128 tokens. Each side lives in a
process of its own, and the sides take turns, so that what else the machine does hits all of them alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from statistics import median
from typing import Any

from ppernie.bench.table import render
from ppernie.bench.train_side import SIDES
from ppernie.errors import UserError

SIZES = {"4x312": "ernie-3.0-nano-zh", "12x768": "ernie-3.0-base-zh"}
BASELINE = "PaddleNLP"
_WARM_UP = 3


class _Side:
    """A process of ``ppernie.bench.train_side``."""

    def __init__(self, name: str, variant: str, threads: int) -> None:
        self.name = name
        self.seconds: list[float] = []
        self.peak_mb: float | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ppernie.bench.train_side", name, variant],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            text=True,
            bufsize=1,
        )
        self.error: str | None = self._read().get("error")

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"error": "the process ended without an answer"}

    def step(self) -> None:
        """Runs one step, unless the side has failed."""
        if self.error:
            return
        assert self._process.stdin
        self._process.stdin.write("step\n")
        record = self._read()
        self.error = record.get("error")
        if not self.error:
            self.seconds.append(record["seconds"])
            self.peak_mb = record["peak_mb"]

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def _rows(size: str, sides: list[_Side]) -> list[dict[str, object]]:
    baseline = next(side for side in sides if side.name == BASELINE)
    rows: list[dict[str, object]] = []
    for side in sides:
        row: dict[str, object] = {"size": size, "side": side.name}
        if side.error:
            row["note"] = side.error
        else:
            row["median ms"] = f"{1000 * median(side.seconds):.0f}"
            row["peak MB"] = f"{side.peak_mb:.0f}" if side.peak_mb else ""
        if not side.error and not baseline.error:
            pairs = zip(side.seconds, baseline.seconds, strict=True)
            row["time ratio"] = f"{median(own / other for own, other in pairs):.2f}"
            if side.peak_mb and baseline.peak_mb:
                row["memory ratio"] = f"{side.peak_mb / baseline.peak_mb:.2f}"
        rows.append(row)
    return rows


def benchmark(sizes: Sequence[str], rounds: int, threads: int) -> str:
    """Measures and returns a table; ratios are to PaddleNLP, of times as the median over rounds.

    Args:
        sizes: keys of ``SIZES``.
        rounds: timed steps for each side, after a few that are not counted.
        threads: threads for each side.
    """
    unknown = [size for size in sizes if size not in SIZES]
    if unknown:
        raise UserError(f"unknown size '{unknown[0]}': known: {', '.join(SIZES)}")
    rows: list[dict[str, object]] = []
    for size in sizes:
        sides = [_Side(name, SIZES[size], threads) for name in SIDES]
        try:
            for _ in range(_WARM_UP + rounds):
                for side in sides:
                    side.step()
            for side in sides:
                del side.seconds[:_WARM_UP]
            rows += _rows(size, sides)
        finally:
            for side in sides:
                side.close()
    columns = ("size", "side", "median ms", "time ratio", "peak MB", "memory ratio", "note")
    used = [column for column in columns if any(column in row for row in rows)]
    return render([{column: row.get(column, "") for column in used} for row in rows])
