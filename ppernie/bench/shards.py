"""Converting published shards of GLM-130B's width: seconds, speed and peak memory.

Files of random numbers of half precision are written for some tensor-parallel ranks and converted to a folder of ours,
each in a process of its own, whose peak is that of its resident memory. Files just written may be read from the
system's cache.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from ppernie.bench.side import Side
from ppernie.errors import UserError
from ppernie.table import render

STEPS = SHARDS, CONVERTED = "shards", "converted"


class Sizes(NamedTuple):
    """Of the network, and of what holds it.

    Attributes:
        ranks: files that it is published in.
        bits: of the converted weights: 8, 4, or 16 for those that are stored.
    """

    layers: int
    hidden: int
    heads: int
    inner: int
    vocab: int
    ranks: int
    bits: int

    @classmethod
    def of(cls, options: Any) -> Sizes:
        """From an object that has them as attributes."""
        return cls(*(getattr(options, field) for field in cls._fields))


def benchmark(sizes: Sizes, folder: str | None) -> str:
    """Measures and returns a table.

    Args:
        folder: on the disk to measure; None takes the system's temporary folder.

    Raises:
        UserError: a step failed.
    """
    with tempfile.TemporaryDirectory(dir=folder) as place:
        return render([_row(step, make(step, Path(place), sizes), Path(place)) for step in STEPS])


def make(step: str, place: Path, sizes: Sizes) -> dict[str, Any]:
    """Writes the folder ``place / step`` in a process of its own, and returns what that took.

    Args:
        step: of ``STEPS``; the second converts what the first wrote.

    Raises:
        UserError: it failed.
    """
    side = Side("ppernie.bench.shards_side", [str(place), *map(str, sizes)], threads=1)
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
