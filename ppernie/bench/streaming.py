"""A network of GLM-130B's width run from the disk, layer by layer: seconds a layer and peak memory.

A model folder of random numbers is written, layer by layer; then a process of its own streams it: it reads some tokens
at once, and next tokens one by one, with the files fetched from the disk and with them in the system's cache. A pass
ends when the weights that the next one begins with are there, so that it is charged with reading every layer once, as
it is where pass follows pass. The time for all of GLM-130B's layers is an estimate: that of one layer 70 times, and the
head.

The peak is that of resident memory in all passes so far, with what the process holds before it opens the network, most
of which are Paddle's libraries, and without.
"""

from __future__ import annotations

import logging
from pathlib import Path
from statistics import median
from typing import Any

from ppernie import registry
from ppernie.bench.scratch import scratch
from ppernie.bench.shards import gigabytes
from ppernie.bench.side import Side
from ppernie.bench.wide import Sizes, random_tensors
from ppernie.errors import UserError
from ppernie.slim.weight_only.folder import save_layers
from ppernie.table import render

logger = logging.getLogger("ppernie")

_LAYERS = 70
# Of more layers than these, every tenth is told.
_FEW = 20


def benchmark(sizes: Sizes, tokens: int, rounds: int, threads: int, folder: str | None) -> str:
    """Measures and returns a table.

    Args:
        sizes: with 16 bits the weights are half precision, which a layer makes float32.
        tokens: that are read at once.
        rounds: passes of each kind, of which the median counts.
        folder: on the disk to measure; None takes the system's temporary folder.

    Raises:
        UserError: no network has these sizes, or so long a window; there is no such folder, or its disk lacks the room,
            which is told before anything is written; or the process failed.
    """
    description = sizes.description()
    if tokens > description.max_length:
        raise UserError(f"--tokens {tokens}: the window holds {description.max_length}; take fewer")
    plan = registry.arch_plan(description.arch["name"])
    with scratch(folder) as place:
        network = place / "network"
        save_layers(network, random_tensors(description), description, plan, sizes.scheme, None, _tell_written)
        side = Side("ppernie.bench.streaming_side", [str(network)], threads)
        try:
            rows = [
                _row(count, source, _passes(side, count, source, rounds), network)
                for source in ("disk", "cache")
                for count in (1, tokens)
            ]
        finally:
            side.close()
        return render(rows)


def _tell_written(number: int, count: int) -> None:
    layer, layers = number - 1, count - 1  # the first file is of what lies outside of them
    if layers <= _FEW or layer % 10 == 0 or number == count:
        logger.info("written: the word table and %d of %d layers", layer, layers)


def _passes(side: Side, tokens: int, source: str, rounds: int) -> list[dict[str, Any]]:
    """The answers to passes of a kind, behind one that is not counted, for nothing may be read ahead of it."""
    answers = []
    for number in range(rounds + 1):
        answer = side.ask(f"{tokens} {source}")
        if "error" in answer:
            raise UserError(f"bench streaming: {answer['error']}")
        if number > 0:
            told = tokens, source, number, rounds, answer["layer_seconds"]
            logger.info("tokens at once: %d, weights from the %s, pass %d of %d: %.3f s a layer", *told)
            answers.append(answer)
    return answers


def _row(tokens: int, source: str, answers: list[dict[str, Any]], folder: Path) -> dict[str, object]:
    table, *blocks = (path.stat().st_size for path in sorted(folder.glob("*.safetensors")))
    layer, head = (median(answer[key] for answer in answers) for key in ("layer_seconds", "head_seconds"))
    peak, base = answers[-1]["peak_mb"], answers[-1]["base_mb"]
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
