"""One side of ``ppernie.bench.infer``: ``python -m ppernie.bench.infer_side SIDE VARIANT FOLDER BATCH``.

Every line on the input gets the median time of one forward pass over some runs, and the output's first row.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppernie.bench.side import median_seconds, serve
from ppernie.inference.deploy import GRAPH, WEIGHTS

if TYPE_CHECKING:
    from ppernie.export import Contents

LENGTH, LABELS, TOLERANCE = 128, 2, 1e-4
ARCH = "ernie3/ErnieForSequenceClassification"
ONNX = "model.onnx"

Inputs = Mapping[str, np.ndarray]
Forward = Callable[[Inputs], np.ndarray]


def sample(vocab_size: int, batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random ids; the same for every side."""
    ids = np.random.default_rng(seed).integers(1, vocab_size, (batch, LENGTH))
    return {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}


def network(architecture: dict[str, Any]) -> Any:
    """The model, the same for every side."""
    import paddle

    from ppernie import registry

    paddle.seed(0)
    model = registry.arch_class(ARCH)(registry.arch_config(ARCH)(**architecture), LABELS)
    model.reset_parameters()
    return model


def contents(architecture: dict[str, Any]) -> Contents:
    """What the model's exports take and give, and samples."""
    from ppernie.export import Contents, Field

    dims = ("batch", "length")
    return Contents(
        inputs=[
            Field("input_ids", "int64", dims, architecture["pad_token_id"], architecture["vocab_size"]),
            Field("token_type_ids", "int64", dims, 0, architecture["type_vocab_size"]),
        ],
        outputs=[("batch", "classes")],
        max_length=LENGTH,
        samples=[sample(architecture["vocab_size"], batch) for batch in (1, 3)],
    )


def export(architecture: dict[str, Any], folder: Path) -> None:
    """Writes the exported model."""
    from ppernie.export import export_model

    export_model(network(architecture), contents(architecture), folder, TOLERANCE)


def export_onnx(architecture: dict[str, Any], folder: Path) -> None:
    """Converts the exported graph."""
    from ppernie.export.onnx_graph import convert

    convert(folder / GRAPH, folder / WEIGHTS, folder / ONNX)


def ppernie(architecture: dict[str, Any], folder: Path, precision: str | None) -> Forward:
    """The exported model in this library's predictor."""
    from ppernie.inference.predictor import Predictor

    predictor = Predictor(folder, device="cpu", precision=precision, threads=int(os.environ["OMP_NUM_THREADS"]))
    return lambda inputs: predictor.run(inputs)[0]


def paddlenlp(architecture: dict[str, Any], folder: Path) -> Forward:
    """PaddleNLP's model, eager, without gradients."""
    import paddle
    from paddlenlp.transformers import ErnieConfig, ErnieForSequenceClassification

    config = ErnieConfig(**architecture, use_task_id=architecture["task_type_vocab_size"] > 0, num_labels=LABELS)
    model = ErnieForSequenceClassification(config)
    model.eval()

    def forward(inputs: Inputs) -> np.ndarray:
        with paddle.no_grad():
            return model(**{name: paddle.to_tensor(ids) for name, ids in inputs.items()}).numpy()

    return forward


def onnxruntime(architecture: dict[str, Any], folder: Path) -> Forward:
    """The exported model in ONNX Runtime with its default optimisations."""
    import onnxruntime

    if not (folder / ONNX).exists():
        raise ImportError("paddle2onnx is not installed", name="paddle2onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    session = onnxruntime.InferenceSession(str(folder / ONNX), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, dict(inputs))[0]


WRITERS: dict[str, Callable[[dict[str, Any], Path], None]] = {"export": export, "export_onnx": export_onnx}
SIDES: dict[str, Callable[[dict[str, Any], Path], Forward]] = {
    "PaddleNLP eager": paddlenlp,
    "ONNX Runtime fp32": onnxruntime,
    "ppernie fp32": functools.partial(ppernie, precision="fp32"),
    "ppernie bf16": functools.partial(ppernie, precision="bf16"),
}


def main(
    writers: Mapping[str, Callable[[dict[str, Any], Path], None]],
    sides: Mapping[str, Callable[[dict[str, Any], Path], Forward]],
    side: str,
    variant: str,
    folder: str,
    batch: str,
) -> None:
    """Serves until the input ends; writers write files and time nothing."""
    from ppernie.zoo import manifest

    architecture = manifest.find(variant).architecture

    def prepare() -> Callable[[str], dict[str, object]]:
        if side in writers:
            writers[side](architecture, Path(folder))
            return lambda _: {}
        inputs = sample(architecture["vocab_size"], int(batch))
        forward = sides[side](architecture, Path(folder))
        return lambda _: _turn(forward, inputs)

    serve(prepare)


def _turn(forward: Forward, inputs: Inputs) -> dict[str, object]:
    return {"seconds": median_seconds(lambda: forward(inputs)), "output": forward(inputs).ravel().tolist()}


if __name__ == "__main__":
    main(WRITERS, SIDES, *sys.argv[1:])
