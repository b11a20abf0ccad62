"""A benchmark's sides: processes that answer lines of text with lines of JSON, so that each has its own memory."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

# OpenMP's idle threads spin for 0.2 s after their work, which would slow the next side.
PAUSE_SECONDS = 0.3
_TURN_SECONDS = 0.3
# Of what a process wrote to its standard error before it ended.
_LAST_BYTES, _LAST_LINES = 4096, 3


class Side:
    """Runs ``python -m module *arguments``, which calls ``serve``."""

    def __init__(self, module: str, arguments: Sequence[str], threads: int) -> None:
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            text=True,
            bufsize=1,
        )
        self.error: str | None = self._read().get("error")

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        return json.loads(line) if line.endswith("\n") else {"error": self._end()}

    def _end(self) -> str:
        """How the process ended, and what it said last."""
        status = self._process.wait()
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        size = self._messages.seek(0, os.SEEK_END)
        self._messages.seek(max(0, size - _LAST_BYTES))
        said = self._messages.read().decode("utf-8", "replace").split("\n")
        last = " / ".join([line.strip() for line in said if line.strip()][-_LAST_LINES:])
        return f"the process {how}" + (f": {last}" if last else " and said nothing")

    def ask(self, line: str = "") -> dict[str, Any]:
        """Sends a line and returns the answer; ``error`` is kept, and ends the side.

        It says what went wrong in the process or, where that is no more, how it ended.
        """
        if self.error:
            return {"error": self.error}
        assert self._process.stdin
        with suppress(BrokenPipeError):  # there is no answer then, which tells more
            self._process.stdin.write(f"{line}\n")
        answer = self._read()
        self.error = answer.get("error")
        return answer

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._messages.close()


def ask_in_turn(sides: Mapping[str, Side], turns: int) -> dict[str, list[dict[str, Any]]]:
    """Asks one side after the other, ``turns`` times over, and ends them; returns the answers of each."""
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    try:
        for _ in range(turns):
            for name, side in sides.items():
                answers[name].append(side.ask())
                time.sleep(PAUSE_SECONDS)
    finally:
        for side in sides.values():
            side.close()
    return answers


def median_seconds(call: Callable[[], object]) -> float:
    """Median time of a call: one to warm up, then as many as fit into a turn."""
    call()
    seconds: list[float] = []
    while sum(seconds) < _TURN_SECONDS:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def serve(prepare: Callable[[], Callable[[str], dict[str, object]]]) -> None:
    """Prepares, then answers every line of the input; each answer also holds ``peak_mb``."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    try:
        answer = prepare()
        answers.write("{}\n")
        for line in sys.stdin:
            answers.write(json.dumps({**answer(line.strip()), "peak_mb": memory_mb("VmHWM")}) + "\n")
    except ImportError as error:
        answers.write(json.dumps({"error": f"{error.name or error} is not installed"}) + "\n")
    except Exception as error:
        answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")


def memory_mb(field: str) -> float | None:
    """A size of this process in MB, such as VmHWM, the largest resident one so far; None where none is told."""
    status = Path("/proc/self/status")
    found = re.search(rf"{field}:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else None
