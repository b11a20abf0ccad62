"""Converting published shards of GLM-130B's width: seconds, speed and peak memory.

Files of random numbers of half precision are written for some tensor-parallel ranks and converted to a folder of ours,
each in a process of its own, whose peak is that of its resident memory. Files just written may be read from the
system's cache.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ppernie.bench.side import Side
from ppernie.errors import UserError
from ppernie.table import render


def benchmark(
    layers: int, hidden: int, heads: int, inner: int, vocab: int, ranks: int, bits: int, folder: str | None
) -> str:
    """Measures and returns a table.

    Args:
        layers, hidden, heads, inner, vocab: sizes of the network.
        ranks: files that it is published in.
        bits: of the converted weights: 8, 4, or 16 for those that are stored.
        folder: on the disk to measure; None takes the system's temporary folder.

    Raises:
        UserError: a step failed.
    """
    sizes = [str(size) for size in (layers, hidden, heads, inner, vocab, ranks, bits)]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        return render([_row(step, _ask(step, [place, *sizes]), Path(place)) for step in ("shards", "converted")])


def _ask(step: str, arguments: list[str]) -> dict[str, Any]:
    side = Side("ppernie.bench.shards_side", arguments, threads=1)
    answer = side.ask(step)
    side.close()
    if "error" in answer:
        raise UserError(f"bench shards: {step}: {answer['error']}")
    return answer


def _row(step: str, answer: dict[str, Any], place: Path) -> dict[str, object]:
    gigabytes = sum(path.stat().st_size for path in (place / step).rglob("*") if path.is_file()) / 1e9
    layer = answer.get("layer_seconds")
    return {
        "written": step,
        "GB": f"{gigabytes:.2f}",
        "seconds": f"{answer['seconds']:.1f}",
        "CPU seconds": f"{answer['cpu_seconds']:.1f}",
        "seconds a layer": f"{layer:.1f}" if layer else "",
        "peak GB": f"{answer['peak_mb'] * 2**20 / 1e9:.2f}" if answer["peak_mb"] else "",
    }
