"""A step of ``ppernie bench shards``: makes published files of random numbers, or converts them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from ppernie import registry
from ppernie.bench.shards import CONVERTED, SHARDS
from ppernie.bench.side import serve
from ppernie.bench.wide import Sizes, random_tensors
from ppernie.zoo.layerwise import convert_layers


def main() -> None:
    place = Path(sys.argv[1])
    ranks, *numbers = map(int, sys.argv[2:])
    sizes = Sizes(*numbers)
    description = sizes.description()

    def answer(step: str) -> dict[str, object]:
        start, start_cpu = time.perf_counter(), time.process_time()
        more: dict[str, object] = {}
        if step == SHARDS:
            shards = registry.family_shards(description.arch["name"].partition("/")[0])
            assert shards is not None
            shards.write_shards(place / SHARDS, random_tensors(description), description, None, ranks, "0")
        else:
            convert_layers(place / SHARDS, place / CONVERTED, scheme=sizes.scheme)
            more["layer_seconds"] = _layer_seconds(place / CONVERTED, sizes.layers)
        return {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - start_cpu, **more}

    def prepare() -> Callable[[str], dict[str, object]]:
        return answer

    serve(prepare)


def _layer_seconds(folder: Path, layers: int) -> float:
    """Seconds between the file of what lies outside the layers, which is written first, and that of the last layer."""
    times = [path.stat().st_mtime for path in sorted(folder.glob("*.safetensors"))]
    return (times[-1] - times[0]) / layers


if __name__ == "__main__":
    main()
