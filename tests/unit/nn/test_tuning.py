"""Process settings for the CPU, each in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os
from ppernie.nn.tuning import tune_cpu
tune_cpu()
tune_cpu()
import numpy as np, paddle
a = np.arange(600, dtype="float32").reshape(20, 30) / 600
assert np.allclose(paddle.matmul(paddle.to_tensor(a), paddle.to_tensor(a.T)).numpy(), a @ a.T, atol=1e-5)
print("CPU type", os.environ.get("MKL_DEBUG_CPU_TYPE"))
"""


@pytest.mark.parametrize("user", [None, "4"])
def test_tuning_keeps_results_and_the_users_choice(user: str | None, repository: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MKL_DEBUG_CPU_TYPE"}
    if user:
        environment["MKL_DEBUG_CPU_TYPE"] = user
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, cwd=repository, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"CPU type {user}" in done.stdout if user else "CPU type" in done.stdout
