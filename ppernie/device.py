"""The device that a process computes on."""

from __future__ import annotations

import warnings

from ppernie.cpu import cpu_count
from ppernie.errors import UserError

with warnings.catch_warnings():
    # Importing paddle warns of a compiler cache that nobody needs here.
    warnings.simplefilter("ignore")
    import paddle

from ppernie.nn.tuning import tune_cpu


def choose_device(device: str) -> str:
    """``cpu`` or ``gpu`` for ``auto``, ``cpu`` or ``gpu``.

    Raises:
        UserError: a GPU is asked for and cannot be used. Paddle itself would run on the CPU without a word.
    """
    if device not in ("auto", "cpu", "gpu"):
        raise UserError(f"device '{device}' is unknown: use auto, cpu or gpu")
    cuda = paddle.is_compiled_with_cuda()
    usable = cuda and paddle.device.cuda.device_count() > 0
    if device == "gpu" and not usable:
        reason = "no GPU is visible" if cuda else "this Paddle is built without CUDA; install paddlepaddle-gpu"
        raise UserError(f"device 'gpu' (Global.device or --device) cannot be used: {reason}, or take cpu")
    return "gpu" if device != "cpu" and usable else "cpu"


def use_device(device: str, threads: int | None) -> str:
    """Selects the device for all that follows and returns ``cpu`` or ``gpu``.

    Args:
        device: ``auto``, ``cpu`` or ``gpu``.
        threads: of the CPU's mathematics; one for each core if None, where Paddle would take a single one.
    """
    chosen = choose_device(device)
    paddle.set_device(chosen)
    if chosen == "gpu":
        paddle.set_flags({"FLAGS_cudnn_deterministic": True, "FLAGS_embedding_deterministic": 1})
    else:
        tune_cpu()
        paddle.base.core.set_num_threads(threads or cpu_count())
    return chosen
