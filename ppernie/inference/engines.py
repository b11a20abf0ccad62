"""The runtimes of exports, each behind one form: arrays in by name, arrays out in their order."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ppernie.errors import UserError
from ppernie.extras import extra_package
from ppernie.inference import runtime


class Engine(Protocol):
    """A loaded graph."""

    input_names: list[str]

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Runs it once."""


class Paddle:
    """A graph in Paddle Inference.

    Args:
        predictor: of ``runtime.create_predictor``.
    """

    def __init__(self, predictor: Any) -> None:
        self._predictor = predictor
        self.input_names = predictor.get_input_names()

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return runtime.execute(self._predictor, inputs)


class OpenVino:
    """An ONNX graph in OpenVINO on the CPU.

    Args:
        graph: the file.
        precision: ``fp32`` or ``bf16``, of what is not INT8.
        threads: of the CPU.

    Raises:
        UserError: the package is absent, or cannot load the graph.
    """

    def __init__(self, graph: Path, precision: str, threads: int) -> None:
        openvino = check_engine("openvino")
        hints = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            compiled = openvino.Core().compile_model(str(graph), "CPU", hints)
        except RuntimeError as error:
            raise UserError(f"{graph}: OpenVINO cannot load the model; export it again ({error})") from error
        self._request = compiled.create_infer_request()
        self.input_names = [port.any_name for port in compiled.inputs]

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        # What it returns is its own memory, which the next run writes into.
        return [np.array(output) for output in self._request.infer(dict(inputs)).values()]


class OnnxRuntime:
    """An ONNX graph in ONNX Runtime on the CPU, in fp32 where it is not INT8; errors and arguments of ``OpenVino``."""

    def __init__(self, graph: Path, threads: int) -> None:
        onnxruntime = check_engine("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no base but this
            raise UserError(f"{graph}: ONNX Runtime cannot load the model; export it again ({error})") from error
        self.input_names = [port.name for port in self._session.get_inputs()]

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return self._session.run(None, dict(inputs))


def check_engine(name: str) -> Any:
    """The package of an engine other than Paddle. Raises UserError where it is not installed."""
    if name == "openvino":
        # Importing OpenVINO tells its makers so, over the network, unless the package that does that is absent.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return extra_package(name, "int8")
