"""What the sides of the INT8 benchmark refuse to measure."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppernie.bench.int8_side import SIDES
from ppernie.errors import UserError


def test_bf16_is_measured_only_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO would take float32 instead, and say nothing."""
    monkeypatch.setattr("ppernie.inference.runtime.cpu_has_bf16", lambda: False)
    with pytest.raises(UserError, match="precision 'bf16' needs a CPU with avx512_bf16"):
        SIDES["OpenVINO bf16"]({}, Path("nowhere"))
