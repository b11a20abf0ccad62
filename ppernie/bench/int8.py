"""INT8 beside float32 and bfloat16 of the same graph on the CPU, in every engine that runs it.

The networks and the turns are those of ``ppernie.bench.infer``; the ranges are those of random ids.
"""

from __future__ import annotations

from collections.abc import Sequence

from ppernie.bench.infer import compare
from ppernie.bench.int8_side import SIDES, WRITERS

RATIOS = {
    "to Paddle fp32": "Paddle fp32",
    "to Paddle bf16": "Paddle bf16",
    "to OpenVINO fp32": "OpenVINO fp32",
}


def benchmark(sizes: Sequence[str], batches: Sequence[int], rounds: int, threads: int) -> str:
    """As ``ppernie.bench.infer.benchmark``; ``difference`` is to Paddle's fp32 output."""
    module = "ppernie.bench.int8_side"
    return compare(module, list(WRITERS), list(SIDES), RATIOS, "Paddle fp32", sizes, batches, rounds, threads)
