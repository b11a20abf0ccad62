"""What this machine and this Paddle can do, and how the process is set up for them."""

from __future__ import annotations

import functools

from ppernie.cpu import cpu_has_bf16
from ppernie.errors import UserError


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
