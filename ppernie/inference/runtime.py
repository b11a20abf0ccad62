"""What this machine and this Paddle can do, and how the process is set up for them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppernie.cpu import cpu_has_bf16
from ppernie.errors import UserError

PRECISIONS = {"fp32": "Float32", "bf16": "Bfloat16", "fp16": "Half"}
_GPU_MEMORY_MB = 512


def check_precision(precision: str, device: str) -> None:
    """Raises UserError where the device cannot calculate in the precision."""
    if precision not in ("fp32", "bf16", "fp16"):
        raise UserError(f"precision '{precision}' is unknown: use fp32, bf16 or fp16")
    if device == "cpu" and precision == "fp16":
        raise UserError("precision 'fp16' needs a GPU; use fp32 or bf16 on a CPU")
    if device == "cpu" and precision == "bf16" and not cpu_has_bf16():
        raise UserError("precision 'bf16' needs a CPU with avx512_bf16 or amx_bf16; use fp32")


def check_tensorrt(device: str) -> None:
    """Raises UserError where TensorRT cannot be used."""
    from paddle import inference

    if device != "gpu":
        raise UserError("TensorRT needs device 'gpu'")
    if tuple(inference.get_trt_compile_version()) == (0, 0, 0):
        raise UserError("this Paddle is built without TensorRT; leave it off or install a build that has it")


@functools.cache
def prepare_process() -> None:
    """Sets the whole process up for steady inference on a CPU.

    The executor by default hands each dead tensor to another thread, one by one, which costs more than a small
    operation does: let it gather 32 MB first.
    """
    import paddle

    from ppernie.nn.tuning import tune_cpu

    tune_cpu()
    paddle.set_flags({"FLAGS_eager_delete_tensor_gb": 0.03})


def predictor_config(graph: Path, weights: Path, device: str, precision: str, threads: int) -> Any:
    """How Paddle Inference is to run a graph. Raises UserError where Paddle refuses the GPU."""
    from paddle.inference import Config, PrecisionType

    config = Config(str(graph), str(weights))
    config.disable_glog_info()
    config.enable_new_executor()
    config.enable_new_ir(True)
    config.enable_memory_optim()
    if device == "gpu":
        config.enable_use_gpu(_GPU_MEMORY_MB, 0, getattr(PrecisionType, PRECISIONS[precision]))
        if not config.use_gpu():
            raise UserError("Paddle refused the GPU; use device 'cpu'")
    else:
        config.set_cpu_math_library_num_threads(threads)
        config.set_mkldnn_cache_capacity(0)  # any other value keeps a copy of all weights for every shape
        if precision == "bf16":
            config.enable_mkldnn_bfloat16()
    return config


def create_predictor(config: Any, folder: Path) -> Any:
    """Paddle's predictor. Raises UserError where it cannot load what lies in the folder."""
    from paddle import inference

    try:
        return inference.create_predictor(config)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{folder}: Paddle cannot load the model; export it again ({error})") from error


def execute(predictor: Any, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """One run of Paddle's predictor; inputs by name, outputs in their order."""
    for name, array in inputs.items():
        predictor.get_input_handle(name).copy_from_cpu(array)
    predictor.run()
    return [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]
