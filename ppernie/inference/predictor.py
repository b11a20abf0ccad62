"""Runs an exported model with Paddle Inference."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppernie.errors import UserError
from ppernie.inference import limits, runtime
from ppernie.inference.deploy import GRAPH, WEIGHTS, Deploy

_GPU_MEMORY_MB = 512


class Predictor:
    """An exported model, ready to run.

    Not thread-safe: one predictor belongs to one thread. A run holds the interpreter lock, so threads gain
    nothing anyway; use processes.

    Args:
        folder: an export (``deploy.yml``, ``inference.json``, ``inference.pdiparams``).
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``gpu``.
        precision: ``fp32``, ``bf16`` or, on a GPU, ``fp16``.
        threads: of the CPU's mathematics; one for each core if None.
        tensorrt: hand the graph to TensorRT; shapes are collected from the smallest and the largest request.

    Attributes:
        signature: inputs, outputs and limits.
        deploy: all of ``deploy.yml``, with the keys that the exporter added.

    Raises:
        UserError: the export is broken, or the machine cannot do what is asked.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        precision: str = "fp32",
        threads: int | None = None,
        tensorrt: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.signature = Deploy.read(self.folder)
        self.deploy: dict[str, Any] = self.signature.model_dump(mode="json")
        self.device = runtime.choose_device(device)
        runtime.check_precision(precision, self.device)
        if tensorrt:
            runtime.check_tensorrt(self.device)
        self.precision = precision
        self.threads = threads or runtime.cpu_count()
        runtime.prepare_process()
        self._predictor = self._tensorrt() if tensorrt else self._create(self._config())
        names = self._predictor.get_input_names()
        if sorted(names) != sorted(field.name for field in self.signature.inputs):
            raise UserError(f"{self.folder}: the graph takes {sorted(names)}, deploy.yml says otherwise; export again")

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Runs one batch; sizes are padded to a few fixed ones inside, and the outputs are cut back.

        Args:
            inputs: int64 arrays by name, with the dimensions that ``signature.inputs`` names; the batch may be empty.

        Returns:
            float32 arrays with the dimensions that ``signature.outputs`` names.

        Raises:
            ValueError: names, types or shapes are wrong.
            UserError: an id or a length lies outside its limits.
        """
        sizes = limits.check(inputs, self.signature.inputs, self.signature.max_length)
        rows = sizes.get("batch")
        if rows == 0:
            return [output[:0] for output in self._run_padded(inputs, sizes | {"batch": 1})]
        return [
            output[tuple(slice(sizes.get(dim)) for dim in dims)]
            for output, dims in zip(self._run_padded(inputs, sizes), self.signature.outputs, strict=True)
        ]

    def _run_padded(self, inputs: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[np.ndarray]:
        target = {dim: limits.padded_size(dim, size, self.signature.max_length) for dim, size in sizes.items()}
        padded = {
            field.name: limits.pad(inputs[field.name], [target[dim] for dim in field.dims], field.pad)
            for field in self.signature.inputs
        }
        return _execute(self._predictor, padded)

    def _config(self) -> Any:
        from paddle.inference import Config, PrecisionType

        config = Config(str(self.folder / GRAPH), str(self.folder / WEIGHTS))
        config.disable_glog_info()
        config.enable_new_executor()
        config.enable_new_ir(True)
        config.enable_memory_optim()
        if self.device == "gpu":
            kinds = {"fp32": "Float32", "bf16": "Bfloat16", "fp16": "Half"}
            config.enable_use_gpu(_GPU_MEMORY_MB, 0, getattr(PrecisionType, kinds[self.precision]))
            if not config.use_gpu():
                raise UserError("Paddle refused the GPU; use device 'cpu'")
        else:
            config.set_cpu_math_library_num_threads(self.threads)
            if self.precision == "bf16":
                config.enable_mkldnn_bfloat16()
        return config

    def _create(self, config: Any) -> Any:
        from paddle.inference import create_predictor

        try:
            return create_predictor(config)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{self.folder}: Paddle cannot load the model; export it again ({error})") from error

    def _tensorrt(self) -> Any:
        """TensorRT needs the range of every inner shape: an ordinary predictor collects them first."""
        from paddle.inference import PrecisionType

        with tempfile.TemporaryDirectory() as scratch:
            shapes = str(Path(scratch) / "shapes.pbtxt")
            collecting = self._config()
            collecting.collect_shape_range_info(shapes)
            collector = self._create(collecting)
            for batch, length in ((1, 8), (32, self.signature.max_length)):
                sizes = {"batch": batch}
                _execute(
                    collector,
                    {
                        field.name: np.full(
                            [sizes.get(dim, min(length, self.signature.max_length)) for dim in field.dims],
                            field.pad,
                            "int64",
                        )
                        for field in self.signature.inputs
                    },
                )
            del collector  # the file is written when the predictor ends
            kinds = {"fp32": "Float32", "bf16": "Bfloat16", "fp16": "Half"}
            config = self._config()
            config.enable_tensorrt_engine(
                precision_mode=getattr(PrecisionType, kinds[self.precision]), use_calib_mode=False
            )
            config.enable_tuned_tensorrt_dynamic_shape(shapes, True)
            return self._create(config)


def _execute(predictor: Any, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    for name, array in inputs.items():
        predictor.get_input_handle(name).copy_from_cpu(array)
    predictor.run()
    return [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]
