"""Process settings that Paddle's CPU build leaves on the table."""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

# malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


@functools.cache
def tune_cpu() -> None:
    """Makes training and inference on a Linux CPU faster; call it before the first tensor. Elsewhere it does nothing.

    Memory: Paddle returns every freed buffer to glibc, which unmaps large ones, so that each operation faults its
    output in again page by page. Here glibc keeps freed memory in its heap.

    Matrix products: Paddle's MKL (2019) takes its AVX2 code on Intel processors only and falls back to SSE on
    others, two to three times slower. ``MKL_DEBUG_CPU_TYPE=5`` lets AMD processors with AVX2 have it; a value that
    the user has set stays.
    """
    if not hasattr(os, "sysconf") or "CS_GNU_LIBC_VERSION" not in os.confstr_names:
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_TOP_PAD, 64 * 2**20)
    cpu = Path("/proc/cpuinfo").read_text()
    if "AuthenticAMD" in cpu and " avx2 " in cpu and " fma " in cpu:
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
