"""One folder of ``ppernie.bench.compression``: ``python -m ppernie.bench.compression_side FOLDER BATCH LENGTH DEVICE
THREADS``; every line on the input gets the median time of one batch over some runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from ppernie.bench.side import median_seconds, serve

# Sizes of dimensions that are neither rows nor tokens, such as choices.
_OTHER = 2


def main(folder: str, batch: str, length: str, device: str, threads: str) -> None:
    """Serves until the input ends."""

    def prepare() -> Callable[[str], dict[str, object]]:
        from ppernie.inference.deploy import BATCH
        from ppernie.inference.limits import is_length
        from ppernie.inference.pipeline import open_pipeline

        pipeline = open_pipeline(folder, device=device, threads=int(threads))
        task, arch = pipeline.task, pipeline.description.arch
        sizes = {dim: int(length) if is_length(dim) else _OTHER for dim in task.input_dims} | {BATCH: int(batch)}
        shape, rng = [sizes[dim] for dim in task.input_dims], np.random.default_rng(0)
        inputs = {name: np.zeros(shape, np.int64) for name in task.input_names}
        for name in task.id_names:
            inputs[name] = rng.integers(1, arch["vocab_size"], shape)
        return lambda _: {"seconds": median_seconds(lambda: pipeline.runner(inputs))}

    serve(prepare)


if __name__ == "__main__":
    main(*sys.argv[1:])
