from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ppernie.zoo.download import Policy, get_file
from ppernie.zoo.manifest import File

# Processes that ask for the file at the same time, forked from one so that the imports are paid for once.
ASK = """
import multiprocessing, sys
from ppernie.errors import UserError
from ppernie.zoo.download import Policy, attempts, get_file
from ppernie.zoo.manifest import File

file = File.model_validate_json(sys.argv[1])
policy = Policy(fruitless=3, read_timeout=float(sys.argv[2]), backoff=0.001)
count = int(sys.argv[3])
fork = multiprocessing.get_context("fork")
barrier = fork.Barrier(count)

def ask():
    barrier.wait()
    try:
        answer = get_file(file, "model", policy)
    except UserError as error:
        answer = f"error: {error}"
    sys.stdout.write(f"{answer}\\n")
    sys.stdout.flush()

processes = [fork.Process(target=ask) for _ in range(count)]
for process in processes:
    process.start()
for process in processes:
    process.join()
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a number of processes that ask for one file; they form a process group."""
    groups = []

    def start(file: File, read_timeout: float, count: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", ASK, file.model_dump_json(), str(read_timeout), str(count)]
        groups.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True))
        return groups[-1]

    yield start
    for group in groups:
        if group.poll() is None:
            os.killpg(group.pid, signal.SIGKILL)
        group.communicate()


def test_eight_processes_make_one_download(server: Any, home: Path, start: Start, content: bytes) -> None:
    answers = start(server.file("weights.bin", "truncate"), 30, 8).communicate(timeout=60)[0].splitlines()
    path = home / "models" / "model" / "weights.bin"
    assert answers == [str(path)] * 8
    assert path.read_bytes() == content
    assert server.ranges() == [None, "bytes=32000-"]


def test_who_waits_for_a_download_that_fails_fails_with_it(server: Any, start: Start, policy: Policy) -> None:
    file = server.file("weights.bin", *["silent"] * 99)
    answers = start(file, 0.5, 8).communicate(timeout=60)[0].splitlines()
    assert len(server.requests) == 3
    assert answers == answers[:1] * 8
    assert answers[0].startswith("error: model/weights.bin: no address gave the file")
    assert get_file(server.file(), "model", policy).exists()


def test_a_killed_download_is_continued_by_who_waits(
    server: Any, home: Path, start: Start, policy: Policy, content: bytes
) -> None:
    file = server.file("weights.bin", "hang")
    process = start(file, 30, 1)
    part = home / "models" / "model" / "weights.bin.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size > 16_000):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    found: list[Path] = []
    waiting = threading.Thread(target=lambda: found.append(get_file(file, "model", policy)))
    waiting.start()
    time.sleep(0.2)
    assert len(server.requests) == 1
    size = part.stat().st_size
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    waiting.join(20)
    assert found[0].read_bytes() == content
    assert server.ranges() == [None, f"bytes={size}-"]
    assert not part.exists()
