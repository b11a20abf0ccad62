"""What the CPU offers, told without Paddle."""

from __future__ import annotations

import functools
import os
from pathlib import Path


def cpu_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware (Linux; elsewhere False)."""
    return not _flags().isdisjoint(("avx512_bf16", "amx_bf16"))


def cpu_has_vnni() -> bool:
    """Whether the CPU adds products of 8 bits in 32 bits at once (Linux; elsewhere False).

    Without that it adds pairs of them in 16 bits, which overflow unless one of the two has 7 bits.
    """
    return not _flags().isdisjoint(("avx512_vnni", "avx_vnni", "amx_int8"))


@functools.cache
def _flags() -> frozenset[str]:
    cpuinfo = Path("/proc/cpuinfo")
    return frozenset(cpuinfo.read_text(encoding="utf-8", errors="replace").split() if cpuinfo.exists() else [])
