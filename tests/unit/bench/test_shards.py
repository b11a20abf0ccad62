"""The benchmark of conversions, at a small width."""

from __future__ import annotations

import os

from ppernie.bench.shards import benchmark
from ppernie.bench.wide import Sizes


def test_both_steps_are_measured(tmp_path: os.PathLike[str]) -> None:
    sizes = Sizes(layers=2, hidden=64, heads=4, inner=96, vocab=80, bits=4)
    table = benchmark(sizes, ranks=2, folder=str(tmp_path))
    _, _, shards, converted = table.splitlines()
    assert shards.startswith("| shards ") and converted.startswith("| converted ")
    assert os.listdir(tmp_path) == []
