"""Kernels in C for the CPU; where they are absent, Paddle's own operations do the work.

``setup.py`` compiles the C files as the extension module ``ppernie.nn.kernels._native`` (without a Python init
function: it is opened with ctypes). OpenMP is left undefined in it and found in the runtime that Paddle has
loaded, because two OpenMP runtimes in one process compete for the cores.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path
from typing import Any

import paddle

_POINTER, _INT, _SEED = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64
_FLOAT, _DOUBLE = ctypes.c_float, ctypes.c_double
_SIGNATURES = {
    "use_sgemm": [_POINTER],
    "dropout": [_POINTER] * 2 + [_INT, _DOUBLE, _SEED],
    "gelu": [_POINTER] * 2 + [_INT],
    "gelu_grad": [_POINTER] * 3 + [_INT],
    "add_bias": [_POINTER] * 2 + [_INT] * 2,
    "column_sums": [_POINTER] * 2 + [_INT] * 2,
    "norm": [_POINTER] * 8 + [_INT] * 2 + [_FLOAT, _DOUBLE, _SEED],
    "norm_grad": [_POINTER] * 9 + [_INT] * 2 + [_DOUBLE, _SEED],
    "attention": [_POINTER] * 2 + [_INT] * 3 + [_POINTER] * 2 + [_INT] * 4 + [_DOUBLE, _SEED],
    "attention_grad": [_POINTER] * 4 + [_INT] * 4 + [_DOUBLE, _SEED],
    "weight_only_linear": [_POINTER] * 4 + [_INT] * 5,
}


@functools.cache
def library() -> Any:
    """The compiled kernels, a ``ctypes.CDLL``; None where they or Paddle's own MKL and OpenMP are absent."""
    spec = importlib.util.find_spec("ppernie.nn.kernels._native")
    if spec is None or spec.origin is None:
        return None
    paddle_libraries = Path(paddle.__file__).parent / "libs"
    try:
        ctypes.CDLL(str(paddle_libraries / "libiomp5.so"), mode=ctypes.RTLD_GLOBAL)
        blas = ctypes.CDLL(str(paddle_libraries / "libmklml_intel.so"))
        kernels = ctypes.CDLL(spec.origin)
    except OSError:
        return None
    for name, arguments in _SIGNATURES.items():
        function = getattr(kernels, name)
        function.argtypes, function.restype = arguments, None
    kernels.use_sgemm(ctypes.cast(blas.cblas_sgemm, ctypes.c_void_p))
    return kernels


def usable(*tensors: paddle.Tensor) -> bool:
    """Whether the kernels take these: float32 on the CPU, contiguous, and not being traced into a graph."""
    return (
        paddle.in_dynamic_mode()
        and all(x.dtype == paddle.float32 and x.place.is_cpu_place() and x.is_contiguous() for x in tensors)
        and library() is not None
    )
