"""The device of a run, and what it can do."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from ppernie.errors import UserError

if TYPE_CHECKING:
    from ppernie.config.sections import AmpSection, GlobalSection


def prepare_device(section: GlobalSection, amp: AmpSection | None = None) -> str:
    """Selects device and threads and returns ``"cpu"`` or ``"gpu"``.

    Raises:
        UserError: a GPU is asked for and there is none, or the device cannot compute in ``amp.dtype``.
    """
    with warnings.catch_warnings():
        # Importing paddle warns of a compiler cache that nobody needs here.
        warnings.simplefilter("ignore")
        import paddle
    from ppernie.nn.tuning import tune_cpu

    gpus = paddle.device.cuda.device_count() if paddle.device.is_compiled_with_cuda() else 0
    if section.device == "gpu" and not gpus:
        built = "no GPU is visible" if paddle.device.is_compiled_with_cuda() else "this Paddle is the CPU build"
        raise UserError(f"Global.device is 'gpu', but {built}; set Global.device=cpu or install paddlepaddle-gpu")
    device = "gpu" if gpus and section.device != "cpu" else "cpu"
    if device == "cpu" and amp is not None and amp.dtype != "float32":
        raise UserError(
            f"AMP.dtype is '{amp.dtype}', but Paddle trains in float32 only on a CPU; set AMP.dtype=float32 "
            "(an exported model can still run in bfloat16)"
        )
    if device == "gpu" and amp is not None and amp.dtype == "bfloat16" and not paddle.amp.is_bfloat16_supported():
        raise UserError("AMP.dtype is 'bfloat16', which this GPU does not support; set AMP.dtype=float16")
    paddle.set_device(device)
    if device == "cpu":
        tune_cpu()
    if section.threads is not None:
        paddle.base.core.set_num_threads(section.threads)
    if device == "gpu":
        paddle.set_flags({"FLAGS_cudnn_deterministic": True, "FLAGS_embedding_deterministic": 1})
    return device
