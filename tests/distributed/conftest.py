"""A job of several ranks on this machine, started as users start one."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).with_name("worker.py")
# Another program took the port between the launcher's look and the ranks' start.
PORT_TAKEN = "Address already in use"


@dataclass(frozen=True)
class Job:
    """A job that has ended."""

    status: int
    seconds: float
    results: list[Any]
    logs: str


@pytest.fixture
def launch(tmp_path: Path) -> Callable[..., Job]:
    """``launch(function, processes, *arguments, check=True, timeout=120, **environment)``.

    Every rank calls the function, which is at the top of a test module, with plain arguments; its result, plain too,
    is the rank's entry in ``Job.results``. A job that fails, or takes too long, is an error that shows its logs.
    """
    jobs = 0

    def run(
        function: Callable[..., Any],
        processes: int,
        *arguments: Any,
        check: bool = True,
        timeout: float = 120,
        **environment: str,
    ) -> Job:
        nonlocal jobs
        for _ in range(3):
            jobs += 1
            folder = tmp_path / f"job{jobs}"
            folder.mkdir()
            job = _run(folder, function, processes, arguments, timeout, environment)
            if job.status == 0 or PORT_TAKEN not in job.logs:
                break
        assert job.status == 0 or not check, f"the job ended with status {job.status}\n{job.logs}"
        return job

    return run


def _run(
    folder: Path,
    function: Callable[..., Any],
    processes: int,
    arguments: tuple[Any, ...],
    timeout: float,
    environment: dict[str, str],
) -> Job:
    module = inspect.getsourcefile(function)
    command = [sys.executable, "-m", "paddle.distributed.launch", f"--nproc_per_node={processes}"]
    command += ["--log_dir", str(folder / "logs"), str(WORKER)]
    command += [str(module), function.__name__, json.dumps(arguments), str(folder)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PADDLE_")}
    began = time.monotonic()
    with (folder / "launcher.log").open("w") as output:
        launcher = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=inherited | {"PADDLE_DISTRI_BACKEND": "gloo", "OMP_NUM_THREADS": "1"} | environment,
        )
        try:
            status = launcher.wait(timeout)
        except subprocess.TimeoutExpired:
            status = -1
        finally:
            _end(launcher, folder)
    files = [folder / f"{rank}.json" for rank in range(processes)]
    results = [json.loads(file.read_text()) if file.exists() else None for file in files]
    return Job(status, time.monotonic() - began, results, _logs(folder))


def _end(launcher: subprocess.Popen[bytes], folder: Path) -> None:
    """Leaves no process of the job behind; the ranks are sessions of their own."""
    if launcher.poll() is None:
        launcher.kill()
        launcher.wait()
    for file in folder.glob("*.pid"):
        pid = int(file.read_text())
        try:
            if str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue


def _logs(folder: Path) -> str:
    files = [*sorted(folder.glob("logs/workerlog.*")), folder / "launcher.log"]
    return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-6000:]}" for file in files if file.exists())
