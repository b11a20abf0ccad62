"""A step of ``ppernie bench shards``: makes published files of random numbers, or converts them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ppernie import registry
from ppernie.bench.shards import CONVERTED, SHARDS, Sizes
from ppernie.bench.side import serve
from ppernie.slim.weight_only import Scheme
from ppernie.zoo import manifest
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.formats.rows import RowTensor
from ppernie.zoo.layerwise import convert_layers

_VARIANT = "glm-130b"
_ARCH = "glm/GlmForBlankInfilling"


@dataclass(frozen=True)
class RandomTensor(RowTensor):
    """Normal numbers of half precision, with the published standard deviation, drawn when they are asked for."""

    def rows(self, start: int, stop: int) -> npt.NDArray[Any]:
        shape = self.shape[::-1] if self.turned else self.shape
        numbers = np.random.default_rng(start).standard_normal((stop - start, *shape[1:]), dtype=np.float32)
        numbers *= 0.0052
        return numbers.astype(np.float16)


def main() -> None:
    place = Path(sys.argv[1])
    sizes = Sizes(*map(int, sys.argv[2:]))
    fields = manifest.find(_VARIANT).architecture | {
        "num_hidden_layers": sizes.layers,
        "hidden_size": sizes.hidden,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.inner,
        "vocab_size": sizes.vocab,
    }
    description = ModelDescription(
        arch={"name": _ARCH, **fields}, task=None, max_length=fields["max_position_embeddings"]
    )

    def answer(step: str) -> dict[str, object]:
        start, start_cpu = time.perf_counter(), time.process_time()
        more: dict[str, object] = {}
        if step == SHARDS:
            _write(place / SHARDS, description, sizes.ranks)
        else:
            scheme = Scheme.model_validate({"bits": sizes.bits}) if sizes.bits < 16 else None
            convert_layers(place / SHARDS, place / CONVERTED, scheme=scheme)
            more["layer_seconds"] = _layer_seconds(place / CONVERTED, sizes.layers)
        return {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - start_cpu, **more}

    def prepare() -> Callable[[str], dict[str, object]]:
        return answer

    serve(prepare)


def _write(target: Path, description: ModelDescription, ranks: int) -> None:
    shards = registry.family_shards(description.arch["name"].partition("/")[0])
    assert shards is not None
    tensors = {
        name: RandomTensor(target, "float16", one.cut.shape[::-1] if one.turned else one.cut.shape, one.turned)
        for name, one in shards.layout(description.arch_config()).items()
    }
    shards.write_shards(target, tensors, description, None, ranks, "0")


def _layer_seconds(folder: Path, layers: int) -> float:
    """Seconds between the file of what lies outside the layers, which is written first, and that of the last layer."""
    times = [path.stat().st_mtime for path in sorted(folder.glob("*.safetensors"))]
    return (times[-1] - times[0]) / layers


if __name__ == "__main__":
    main()
