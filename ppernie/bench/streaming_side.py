"""The process of ``ppernie bench streaming`` that runs the network."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle

from ppernie.bench.side import memory_mb, serve
from ppernie.inference.streaming import StreamedBlocks, stream_built
from ppernie.zoo.folder import read_description


def main() -> None:
    folder = Path(sys.argv[1])

    def prepare() -> Callable[[str], dict[str, object]]:
        paddle.set_grad_enabled(False)
        base = memory_mb("VmRSS")
        description = read_description(folder)
        network = stream_built(folder, description, description.build_network)
        network.eval()
        config = network.config
        (blocks,) = (layer for layer in network.sublayers() if isinstance(layer, StreamedBlocks))
        rng = np.random.default_rng(0)

        def answer(line: str) -> dict[str, object]:
            tokens, source = line.split()
            ids = paddle.to_tensor(rng.integers(0, config.vocab_size, (1, int(tokens))))
            positions = paddle.arange(int(tokens)).expand([1, config.position_rows, int(tokens)])
            if source == "disk":
                _drop_from_cache(folder)
            start = time.perf_counter()
            x, _ = network.extend(ids, positions, None, None)
            blocks.wait()
            layer_seconds = (time.perf_counter() - start) / config.num_hidden_layers
            start = time.perf_counter()
            network.scores(x[:, -1])
            return {
                "layer_seconds": layer_seconds,
                "head_seconds": time.perf_counter() - start,
                "base_mb": base,
            }

        return answer

    serve(prepare)


def _drop_from_cache(folder: Path) -> None:
    """Asks the system to forget the pages of the weight files; those not yet on the disk would stay."""
    for path in folder.glob("*.safetensors"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


if __name__ == "__main__":
    main()
