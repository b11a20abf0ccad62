"""A network of GLM-130B's width run from the disk, layer by layer: seconds a layer and peak memory.

Published files of random numbers are written and converted as ``ppernie bench shards`` does; then a process of its own
streams them: it reads some tokens at once, and next tokens one by one, with the files fetched from the disk and with
them in the system's cache. The time for all of GLM-130B's layers is an estimate: that of one layer 70 times, and the
head.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ppernie.bench.side import Side
from ppernie.errors import UserError
from ppernie.table import render

_LAYERS = 70


def benchmark(
    layers: int,
    hidden: int,
    heads: int,
    inner: int,
    vocab: int,
    bits: int,
    tokens: int,
    rounds: int,
    threads: int,
    folder: str | None,
) -> str:
    """Measures and returns a table.

    Args:
        layers, hidden, heads, inner, vocab: sizes of the network.
        bits: of its weights: 8, 4, or 16 for half precision, which a layer makes float32.
        tokens: that are read at once.
        rounds: passes of each kind, of which the median counts.
        folder: on the disk to measure; None takes the system's temporary folder.

    Raises:
        UserError: a step failed.
    """
    sizes = [str(size) for size in (layers, hidden, heads, inner, vocab, 1, bits)]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for step in ("shards", "converted"):
            _ask("ppernie.bench.shards_side", [place, *sizes], threads, step)
        network = Path(place) / "converted"
        side = Side("ppernie.bench.streaming_side", [str(network), str(rounds)], threads)
        try:
            rows = [
                _row(count, warm, _checked(side.ask(f"{count} {warm}")), network)
                for warm in ("disk", "cache")
                for count in (1, tokens)
            ]
        finally:
            side.close()
        return render(rows)


def _ask(module: str, arguments: list[str], threads: int, line: str) -> dict[str, Any]:
    side = Side(module, arguments, threads)
    answer = side.ask(line)
    side.close()
    return _checked(answer)


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise UserError(f"bench streaming: {answer['error']}")
    return answer


def _row(tokens: int, source: str, answer: dict[str, Any], folder: Path) -> dict[str, object]:
    table, *blocks = (path.stat().st_size for path in sorted(folder.glob("*.safetensors")))
    layer, head = answer["layer_seconds"], answer["head_seconds"]
    return {
        "tokens": tokens,
        "weights from": source,
        "GB a layer": f"{blocks[0] / 1e9:.2f}",
        "seconds a layer": f"{layer:.3f}",
        "seconds of the head": f"{head:.3f}",
        f"estimate for {_LAYERS} layers, s": f"{_LAYERS * layer + head:.0f}",
        "peak GB": f"{answer['peak_mb'] * 2**20 / 1e9:.2f}" if answer["peak_mb"] else "",
        "two layers and the table, GB": f"{(2 * blocks[0] + table) / 1e9:.2f}",
    }
