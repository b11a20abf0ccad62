"""One side of ``ppernie.bench.int8``: ``python -m ppernie.bench.int8_side SIDE VARIANT FOLDER BATCH``.

It answers as ``ppernie.bench.infer_side`` does.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ppernie.bench.infer_side import (
    ONNX,
    Forward,
    Inputs,
    contents,
    export,
    export_onnx,
    main,
    network,
    onnxruntime,
    ppernie,
    sample,
)

# Batches of random ids that the ranges are measured on.
_BATCHES = 8


def export_int8(architecture: dict[str, Any], folder: Path) -> None:
    """Writes the model in INT8 for every engine."""
    import paddle

    from ppernie.export.int8 import export_int8
    from ppernie.slim.quantization.calibration import calibrate
    from ppernie.slim.quantization.network import linear_names
    from ppernie.slim.quantization.settings import Int8, own_weight_bits

    def run(model: Any, inputs: Inputs) -> None:
        model(**{name: paddle.to_tensor(ids) for name, ids in inputs.items()})

    model = network(architecture)
    batches = [sample(architecture["vocab_size"], 4, seed) for seed in range(1, 1 + _BATCHES)]
    ranges = calibrate(model, run, batches, linear_names(model, []), "absmax")
    int8 = Int8(ranges=ranges, weight_bits=own_weight_bits())
    for engine in ("openvino", "onnxruntime", "onnxruntime_dynamic"):
        export_int8(model, contents(architecture), folder / engine, tolerance=1.0, engine=engine, int8=int8)


def in_int8(architecture: dict[str, Any], folder: Path, engine: str, precision: str | None = None) -> Forward:
    """One of these exports in this library's predictor."""
    return ppernie(architecture, folder / engine, precision)


def openvino(architecture: dict[str, Any], folder: Path, precision: str) -> Forward:
    """The model in float in OpenVINO, which takes bf16 for a hint. Raises UserError where the CPU lacks it."""
    from ppernie.inference.engines import OpenVino
    from ppernie.inference.runtime import check_precision

    check_precision(precision, "cpu")
    run = OpenVino(folder / ONNX, precision, int(os.environ["OMP_NUM_THREADS"]))

    def forward(inputs: Inputs) -> np.ndarray:
        return run(inputs)[0]

    return forward


WRITERS: dict[str, Callable[[dict[str, Any], Path], None]] = {
    "export": export,
    "export_onnx": export_onnx,
    "export_int8": export_int8,
}
SIDES: dict[str, Callable[[dict[str, Any], Path], Forward]] = {
    "Paddle fp32": functools.partial(ppernie, precision="fp32"),
    "Paddle bf16": functools.partial(ppernie, precision="bf16"),
    "ONNX Runtime fp32": onnxruntime,
    "ONNX Runtime dynamic INT8": functools.partial(in_int8, engine="onnxruntime_dynamic"),
    "ONNX Runtime INT8": functools.partial(in_int8, engine="onnxruntime"),
    "OpenVINO fp32": functools.partial(openvino, precision="fp32"),
    "OpenVINO bf16": functools.partial(openvino, precision="bf16"),
    "OpenVINO INT8": functools.partial(in_int8, engine="openvino"),
}


if __name__ == "__main__":
    main(WRITERS, SIDES, *sys.argv[1:])
