"""A network of GLM-130B's width run from the disk, layer by layer: seconds a layer and peak memory.

Published files of random numbers are written and converted as ``ppernie bench shards`` does; then a process of its own
streams them: it reads some tokens at once, and next tokens one by one, with the files fetched from the disk and with
them in the system's cache. A pass ends when the weights that the next one begins with are there, so that it is charged
with reading every layer once, as it is where pass follows pass. The time for all of GLM-130B's layers is an estimate:
that of one layer 70 times, and the head.

The peak is that of resident memory in all passes so far, with what the process holds before it opens the network, most
of which are Paddle's libraries, and without.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ppernie.bench.scratch import scratch
from ppernie.bench.shards import CONVERTED, SHARDS, STEPS, gigabytes, make
from ppernie.bench.side import Side
from ppernie.bench.wide import Sizes
from ppernie.errors import UserError
from ppernie.table import render

_LAYERS = 70
_RANKS = 8


def benchmark(sizes: Sizes, tokens: int, rounds: int, threads: int, folder: str | None) -> str:
    """Measures and returns a table.

    Args:
        sizes: with 16 bits the weights are half precision, which a layer makes float32.
        tokens: that are read at once.
        rounds: passes of each kind, of which the median counts.
        folder: on the disk to measure; None takes the system's temporary folder.

    Raises:
        UserError: a step failed.
    """
    sizes.description()  # is checked before any work
    with scratch(folder) as place:
        for step in STEPS:
            make(step, place, sizes, _RANKS)
        shutil.rmtree(place / SHARDS)
        network = place / CONVERTED
        side = Side("ppernie.bench.streaming_side", [str(network), str(rounds)], threads)
        try:
            rows = [
                _row(count, source, _checked(side.ask(f"{count} {source}")), network)
                for source in ("disk", "cache")
                for count in (1, tokens)
            ]
        finally:
            side.close()
        return render(rows)


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise UserError(f"bench streaming: {answer['error']}")
    return answer


def _row(tokens: int, source: str, answer: dict[str, Any], folder: Path) -> dict[str, object]:
    table, *blocks = (path.stat().st_size for path in sorted(folder.glob("*.safetensors")))
    layer, head = answer["layer_seconds"], answer["head_seconds"]
    peak, base = answer["peak_mb"], answer["base_mb"]
    return {
        "tokens": tokens,
        "weights from": source,
        "GB a layer": f"{blocks[0] / 1e9:.2f}",
        "seconds a layer": f"{layer:.3f}",
        "seconds of the head": f"{head:.3f}",
        f"estimate for {_LAYERS} layers, s": f"{_LAYERS * layer + head:.0f}",
        "peak GB": gigabytes(peak),
        "without libraries, GB": "" if peak is None or base is None else gigabytes(peak - base),
        "two layers and the table, GB": f"{(2 * blocks[0] + table) / 1e9:.2f}",
    }
