"""The machine that something was measured on, in a line."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ppernie.cpu import cpu_count, cpu_has_bf16


def describe_machine() -> str:
    """Such as ``one machine of 2 cores (AMD EPYC with bfloat16) without a GPU, paddlepaddle 3.3.1``."""
    cpu = f"{_cpu()} with bfloat16" if cpu_has_bf16() else _cpu()
    gpus = _gpus()
    return f"one machine of {cpu_count()} cores ({cpu}) {f'with {gpus}' if gpus else 'without a GPU'}, {_paddle()}"


def _cpu() -> str:
    """Linux tells; elsewhere nothing is known."""
    path = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", path.read_text(encoding="utf-8")) if path.exists() else None
    return found[1].strip() if found else "unknown"


def _gpus() -> str:
    """What NVIDIA's driver lists; the empty text where there is none."""
    files = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    models = [found[1].strip() for path in files if (found := re.search(r"Model:\s*(.+)", path.read_text()))]
    return ", ".join(f"{models.count(model)} x {model}" for model in dict.fromkeys(models))


def _paddle() -> str:
    for package in ("paddlepaddle-gpu", "paddlepaddle"):
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    return "an unknown Paddle"
