"""Converting published shards of GLM-130B's width: seconds, speed and peak memory.

Files of random numbers of half precision are written for some tensor-parallel ranks and converted to a folder of ours,
each in a process of its own, whose peak is that of its resident memory. Files just written may be read from the
system's cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ppernie.bench.scratch import scratch
from ppernie.bench.side import Side
from ppernie.bench.wide import Sizes
from ppernie.errors import UserError
from ppernie.table import render

STEPS = SHARDS, CONVERTED = "shards", "converted"


def benchmark(sizes: Sizes, ranks: int, folder: str | None) -> str:
    """Measures and returns a table.

    Args:
        sizes: of the network; its bits are those of the converted weights, where 16 are those that are published.
        ranks: files that it is published in.
        folder: on the disk to measure; None takes the system's temporary folder.

    Raises:
        UserError: no network has these sizes, there is no such folder, or a step failed.
    """
    sizes.description()  # is checked before any work
    with scratch(folder) as place:
        return render([_row(step, _make(step, place, sizes, ranks), place) for step in STEPS])


def _make(step: str, place: Path, sizes: Sizes, ranks: int) -> dict[str, Any]:
    """Writes the folder ``place / step`` in a process of its own, and returns what that took.

    Args:
        step: of ``STEPS``; the second converts what the first wrote.

    Raises:
        UserError: it failed.
    """
    side = Side("ppernie.bench.shards_side", [str(place), str(ranks), *map(str, sizes)], threads=1)
    answer = side.ask(step)
    side.close()
    if "error" in answer:
        raise UserError(f"bench: {step}: {answer['error']}")
    return answer


def gigabytes(megabytes: float | None) -> str:
    """A size that ``ppernie.bench.side`` told, in GB; empty where none was told."""
    return "" if megabytes is None else f"{megabytes * 2**20 / 1e9:.2f}"


def _row(step: str, answer: dict[str, Any], place: Path) -> dict[str, object]:
    written = sum(path.stat().st_size for path in (place / step).rglob("*") if path.is_file()) / 1e9
    layer = answer.get("layer_seconds")
    return {
        "written": step,
        "GB": f"{written:.2f}",
        "seconds": f"{answer['seconds']:.1f}",
        "CPU seconds": f"{answer['cpu_seconds']:.1f}",
        "seconds a layer": f"{layer:.1f}" if layer else "",
        "peak GB": gigabytes(answer["peak_mb"]),
    }
