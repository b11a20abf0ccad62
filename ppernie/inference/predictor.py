"""Runs an exported model with the engine that its ``deploy.yml`` names."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppernie.cpu import cpu_count, cpu_has_bf16, cpu_has_vnni
from ppernie.errors import UserError
from ppernie.inference import engines, limits, runtime
from ppernie.inference.deploy import BATCH, GRAPH, ONNX, WEIGHTS, Deploy, Field

logger = logging.getLogger("ppernie")

_TENSORRT_ROWS = 32
_CPU_ROWS = 8  # more at once is no faster, and needs more memory and more compiled kernels


class Predictor:
    """An exported model, ready to run.

    Not thread-safe: one predictor belongs to one thread. A run holds the interpreter lock, so threads gain
    nothing anyway; use processes.

    Args:
        folder: an export (``deploy.yml`` and the files of its engine).
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``gpu``; one in INT8 runs on a CPU.
        precision: ``fp32``, ``bf16`` or, on a GPU, ``fp16``; None is fp32 or, of what is not INT8 in an export that
            is, bf16 where OpenVINO finds a CPU that has it.
        threads: of the CPU's mathematics; one for each core if None.
        tensorrt: hand the graph to TensorRT; shapes are collected from the smallest and the largest request.

    Attributes:
        deploy: the contents of ``deploy.yml``.

    Raises:
        UserError: the export is broken, or the machine cannot do what is asked.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        precision: str | None = None,
        threads: int | None = None,
        tensorrt: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.deploy = Deploy.read(self.folder)
        self.threads = threads or cpu_count()
        if self.deploy.engine == "paddle":
            self._engine = self._paddle(device, precision or "fp32", tensorrt)
        else:
            self._engine = self._int8(device, precision, tensorrt)
        names = self._engine.input_names
        if sorted(names) != sorted(field.name for field in self.deploy.inputs):
            raise UserError(f"{self.folder}: the graph takes {sorted(names)}, deploy.yml says otherwise; export again")

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Runs one batch. Inside, a CPU runs a few rows at a time, padded to a few fixed shapes.

        Args:
            inputs: int64 arrays by name, with the dimensions that ``deploy.inputs`` names; the batch may be empty.

        Returns:
            float32 arrays with the dimensions that ``deploy.outputs`` names.

        Raises:
            ValueError: names, types or shapes are wrong.
            UserError: an id or a length lies outside its limits.
        """
        sizes = limits.check(inputs, self.deploy.inputs, self.deploy.max_length)
        rows = sizes[BATCH]
        if rows == 0:
            one = {field.name: _one_row(field, sizes) for field in self.deploy.inputs}
            return [output[:0] for output in self._run_rows(one, sizes)]
        step = rows if self.device == "gpu" else _CPU_ROWS
        parts = [
            self._run_rows({name: array[start : start + step] for name, array in inputs.items()}, sizes)
            for start in range(0, rows, step)
        ]
        return [np.concatenate(outputs) if len(outputs) > 1 else outputs[0] for outputs in zip(*parts, strict=True)]

    def _run_rows(self, inputs: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[np.ndarray]:
        """Pads to one of the few shapes, runs, and cuts the outputs back."""
        rows = len(next(iter(inputs.values())))
        target = {
            dim: limits.padded_length(size, self.deploy.max_length) if limits.is_length(dim) else size
            for dim, size in sizes.items()
        } | {BATCH: limits.padded_rows(rows)}
        outputs = self._engine(
            {
                field.name: limits.pad(inputs[field.name], [target[dim] for dim in field.dims], field.pad)
                for field in self.deploy.inputs
            }
        )
        kept = {**sizes, BATCH: rows}
        return [
            output[tuple(slice(kept.get(dim)) for dim in dims)]
            for output, dims in zip(outputs, self.deploy.outputs, strict=True)
        ]

    def _paddle(self, device: str, precision: str, tensorrt: bool) -> engines.Engine:
        from ppernie.device import choose_device

        self.device, self.precision = choose_device(device), precision
        runtime.check_precision(precision, self.device)
        if tensorrt:
            runtime.check_tensorrt(self.device)
        runtime.prepare_process()
        return engines.Paddle(self._tensorrt() if tensorrt else self._create(self._config()))

    def _int8(self, device: str, precision: str | None, tensorrt: bool) -> engines.Engine:
        """On the CPU, without Paddle."""
        if device == "gpu" or tensorrt:
            raise UserError(f"{self.folder}: runs in INT8 on a CPU; export it with Export.engine=paddle for a GPU")
        if self.deploy.weight_bits == 8 and not cpu_has_vnni():
            logger.warning(
                "%s: its weights have 8 bits, and this CPU has no VNNI: sums overflow and outputs are rougher; "
                "compress it with Slim.quantization.weight_bits=7 for such a CPU",
                self.folder,
            )
        bf16 = self.deploy.engine == "openvino" and cpu_has_bf16()
        self.device, self.precision = "cpu", precision or ("bf16" if bf16 else "fp32")
        runtime.check_precision(self.precision, self.device)
        if self.deploy.engine == "openvino":
            return engines.OpenVino(self.folder / ONNX, self.precision, self.threads)
        if self.precision != "fp32":
            raise UserError(f"{self.folder}: ONNX Runtime runs it in INT8 and fp32; leave the precision")
        return engines.OnnxRuntime(self.folder / ONNX, self.threads)

    def _config(self) -> Any:
        graph, weights = self.folder / GRAPH, self.folder / WEIGHTS
        return runtime.predictor_config(graph, weights, self.device, self.precision, self.threads)

    def _create(self, config: Any) -> Any:
        return runtime.create_predictor(config, self.folder)

    def _tensorrt(self) -> Any:
        """TensorRT needs the range of every inner shape: an ordinary predictor collects them first."""
        from paddle.inference import PrecisionType

        with tempfile.TemporaryDirectory() as scratch:
            shapes = str(Path(scratch) / "shapes.pbtxt")
            collecting = self._config()
            collecting.collect_shape_range_info(shapes)
            collector = self._create(collecting)
            for rows, length in ((1, 8), (_TENSORRT_ROWS, self.deploy.max_length)):
                sizes = {dim: length for field in self.deploy.inputs for dim in field.dims if limits.is_length(dim)}
                requests = {field.name: np.repeat(_one_row(field, sizes), rows, 0) for field in self.deploy.inputs}
                runtime.execute(collector, requests)
            del collector  # the file is written when the predictor ends
            config = self._config()
            precision = getattr(PrecisionType, runtime.PRECISIONS[self.precision])
            config.enable_tensorrt_engine(precision_mode=precision, use_calib_mode=False)
            config.enable_tuned_tensorrt_dynamic_shape(shapes, True)
            return self._create(config)


def _one_row(field: Field, sizes: Mapping[str, int]) -> np.ndarray:
    """Padding alone; dimensions without a size, such as the number of choices, are 1."""
    return np.full([1, *(sizes.get(dim, 1) for dim in field.dims[1:])], field.pad, field.dtype)
