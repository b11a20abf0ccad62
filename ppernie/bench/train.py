"""A CPU training step of ERNIE beside the same model in PaddleNLP and Hugging Face transformers.

A step is forward, backward and AdamW in float32 with dropout 0.1 on 8 texts of 128 tokens. Each side lives in a
process of its own, and the sides take turns, so that what else the machine does hits all of them alike.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ppernie import registry
from ppernie.bench.table import render
from ppernie.errors import UserError

SIZES = {"4x312": "ernie-3.0-nano-zh", "12x768": "ernie-3.0-base-zh"}
BASELINE = "PaddleNLP"
_WARM_UP = 3
_PAUSE_SECONDS = 0.3  # OpenMP's idle threads spin for 0.2 s after a step, which would slow the next side
BATCH, LENGTH, LABELS, LEARNING_RATE, WEIGHT_DECAY = 8, 128, 2, 5e-5, 0.01


def _inputs(vocab_size: int) -> tuple[Any, Any]:
    import numpy as np

    random = np.random.default_rng(0)
    return random.integers(1, vocab_size, (BATCH, LENGTH)), random.integers(0, LABELS, (BATCH,))


def _paddle_step(model: Any, vocab_size: int, **clear: bool) -> Callable[[], None]:
    import paddle

    ids, labels = (paddle.to_tensor(array) for array in _inputs(vocab_size))
    optimizer = paddle.optimizer.AdamW(LEARNING_RATE, parameters=model.parameters(), weight_decay=WEIGHT_DECAY)
    model.train()

    def step() -> None:
        paddle.nn.functional.cross_entropy(model(ids), labels).backward()
        optimizer.step()
        optimizer.clear_grad(**clear)

    return step


def _ppernie(architecture: dict[str, Any]) -> Callable[[], None]:
    """This library's model as its trainer runs it."""
    from ppernie.nn.tuning import tune_cpu

    tune_cpu()
    name = "ernie3/ErnieForSequenceClassification"
    model = registry.arch_class(name)(registry.arch_config(name)(**architecture), LABELS)
    model.reset_parameters()
    return _paddle_step(model, architecture["vocab_size"], set_to_zero=False)


def _paddlenlp(architecture: dict[str, Any]) -> Callable[[], None]:
    """PaddleNLP's model, eager."""
    from paddlenlp.transformers import ErnieConfig, ErnieForSequenceClassification

    config = ErnieConfig(**architecture, use_task_id=architecture["task_type_vocab_size"] > 0, num_labels=LABELS)
    return _paddle_step(ErnieForSequenceClassification(config), architecture["vocab_size"])


def _transformers(architecture: dict[str, Any]) -> Callable[[], None]:
    """Hugging Face's model on torch, eager, with torch's fused AdamW."""
    import torch
    from transformers import ErnieConfig, ErnieForSequenceClassification

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    config = ErnieConfig(**architecture, use_task_id=architecture["task_type_vocab_size"] > 0, num_labels=LABELS)
    model = ErnieForSequenceClassification(config)
    ids, labels = (torch.from_numpy(array) for array in _inputs(architecture["vocab_size"]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    model.train()

    def step() -> None:
        torch.nn.functional.cross_entropy(model(ids).logits, labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


_SIDES = {"ppernie": _ppernie, BASELINE: _paddlenlp, "Hugging Face": _transformers}


def _peak_mb() -> float | None:
    """Largest resident size of this process so far; None where the system does not tell."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else None


def _serve(side: str, variant: str) -> None:
    """Answers each line on the input with one timed step.

    Every answer is one line of JSON: first ``{"ready": true}`` or ``{"error": reason}``, then
    ``{"seconds": ..., "peak_mb": ...}`` for each step.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with the answers

    def answer(**record: object) -> None:
        answers.write(json.dumps(record) + "\n")

    try:
        step = _SIDES[side](registry.zoo("ernie3")[variant]["architecture"])
    except ModuleNotFoundError as error:
        answer(error=f"{error.name} is not installed")
        return
    except ImportError as error:
        answer(error=str(error).splitlines()[0])
        return
    answer(ready=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        answer(seconds=time.perf_counter() - start, peak_mb=_peak_mb())


class _Side:
    """A process that runs one side's steps."""

    def __init__(self, name: str, variant: str, threads: int) -> None:
        self.name = name
        self.seconds: list[float] = []
        self.peak_mb: float | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ppernie.bench.train", name, variant],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            text=True,
            bufsize=1,
        )
        self.error: str | None = self._read().get("error")

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"error": "the process ended without an answer"}

    def step(self) -> None:
        """Runs one step, unless the side has failed."""
        if self.error:
            return
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # reading tells that the process has ended
            self._process.stdin.write("step\n")
        record = self._read()
        self.error = record.get("error")
        if not self.error:
            self.seconds.append(record["seconds"])
            self.peak_mb = record["peak_mb"]
        time.sleep(_PAUSE_SECONDS)

    def close(self) -> None:
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


def _rows(size: str, sides: list[_Side]) -> list[dict[str, object]]:
    baseline = next(side for side in sides if side.name == BASELINE)
    rows: list[dict[str, object]] = []
    for side in sides:
        row: dict[str, object] = {"size": size, "side": side.name}
        if side.error:
            row["note"] = side.error
        else:
            row["median ms"] = f"{1000 * median(side.seconds):.0f}"
            row["peak MB"] = f"{side.peak_mb:.0f}" if side.peak_mb else ""
        if not side.error and not baseline.error:
            pairs = zip(side.seconds, baseline.seconds, strict=True)
            row["time ratio"] = f"{median(own / other for own, other in pairs):.2f}"
            if side.peak_mb and baseline.peak_mb:
                row["memory ratio"] = f"{side.peak_mb / baseline.peak_mb:.2f}"
        rows.append(row)
    return rows


def benchmark(sizes: Sequence[str], rounds: int, threads: int) -> str:
    """Measures and returns a table; ratios are to PaddleNLP, of times as the median over rounds.

    Args:
        sizes: keys of ``SIZES``.
        rounds: timed steps for each side, after a few that are not counted.
        threads: threads for each side.
    """
    unknown = [size for size in sizes if size not in SIZES]
    if unknown:
        raise UserError(f"unknown size '{unknown[0]}': known: {', '.join(SIZES)}")
    rows: list[dict[str, object]] = []
    for size in sizes:
        sides = [_Side(name, SIZES[size], threads) for name in _SIDES]
        try:
            for _ in range(_WARM_UP + rounds):
                for side in sides:
                    side.step()
            for side in sides:
                del side.seconds[:_WARM_UP]
            rows += _rows(size, sides)
        finally:
            for side in sides:
                side.close()
    columns = ("size", "side", "median ms", "time ratio", "peak MB", "memory ratio", "note")
    used = [column for column in columns if any(column in row for row in rows)]
    return render([{column: row.get(column, "") for column in used} for row in rows])


if __name__ == "__main__":
    _serve(*sys.argv[1:])
