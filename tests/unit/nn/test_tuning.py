"""Process settings for the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ppernie.nn.tuning import tune_cpu

PROGRAM = """
from ppernie.nn.tuning import tune_cpu
tune_cpu()
import numpy as np, paddle
a = np.arange(600, dtype="float32").reshape(20, 30) / 600
assert np.allclose(paddle.matmul(paddle.to_tensor(a), paddle.to_tensor(a.T)).numpy(), a @ a.T, atol=1e-5)
"""


def test_matrix_products_stay_right(repository: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_cpu_type_that_the_user_chose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "4")
    tune_cpu.__wrapped__()
    assert os.environ["MKL_DEBUG_CPU_TYPE"] == "4"
