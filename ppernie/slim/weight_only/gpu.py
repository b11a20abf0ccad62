"""Paddle's own weight-only products on a GPU (``paddle.nn.quant``).

They take numbers in an order of their own, which depends on the GPU, and scales of float16. No GPU was at hand, so
nothing here was run.
"""

from __future__ import annotations

import logging
from typing import Any

import paddle

from ppernie.slim.weight_only.arithmetic import Scheme
from ppernie.slim.weight_only.products import unpacked

logger = logging.getLogger("ppernie")

# Its annotations list values that it compares with at run time.
_quant: Any = paddle.nn.quant
_CAPABILITIES = (70, 75, 80, 86, 89, 90, 92, 100)
_GROUPS = (None, 64, 128)


def usable(scheme: Scheme) -> bool:
    """Whether the current device is a GPU with these products; what stands against them is logged."""
    if not paddle.is_compiled_with_cuda() or not paddle.get_device().startswith("gpu"):
        return False
    major, minor = paddle.device.cuda.get_device_capability()
    if 10 * major + minor not in _CAPABILITIES:
        reason = f"this GPU has compute capability {major}.{minor}"
    elif scheme.group_size not in _GROUPS:
        reason = f"groups of {scheme.group_size}; they take 64, 128 or whole rows"
    else:
        return True
    logger.warning("Paddle's weight-only products are not used: %s. Weights become float before each product", reason)
    return False


def arranged(weight: paddle.Tensor, scale: paddle.Tensor, scheme: Scheme) -> tuple[paddle.Tensor, paddle.Tensor]:
    """Numbers and scales as the products take them.

    Quantising again what the numbers stand for gives the same ones, except for a scale's rounding to half precision.
    """
    matrix = unpacked(weight, scale, scheme).astype("float16").T.contiguous()
    numbers, scales = _quant.weight_quantize(
        matrix, f"weight_only_int{scheme.bits}", group_size=scheme.group_size or -1
    )
    return numbers, scales.astype("float16")


def linear(
    x: paddle.Tensor, weight: paddle.Tensor, scale: paddle.Tensor, scheme: Scheme, bias: paddle.Tensor | None
) -> paddle.Tensor:
    """``x @ W.T + bias`` computed in half precision, with what ``arranged`` returned; [..., in] -> [..., out]."""
    y = _quant.weight_only_linear(
        x.astype("float16"),
        weight,
        None if bias is None else bias.astype("float16"),
        scale,
        f"int{scheme.bits}",
        group_size=scheme.group_size or -1,
    )
    return y.astype(x.dtype)
