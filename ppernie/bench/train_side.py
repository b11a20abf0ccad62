"""One side of ``ppernie.bench.train``: a process that answers each line on its input with one timed step.

Run as ``python -m ppernie.bench.train_side SIDE VARIANT``. Every answer is one line of JSON: first
``{"ready": true}`` or ``{"error": reason}``, then ``{"seconds": ..., "peak_mb": ...}`` for each step.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def ppernie(architecture: dict[str, Any]) -> Callable[[], None]:
    """This library's model as its trainer runs it."""
    from ppernie import registry
    from ppernie.nn.tuning import tune_cpu

    tune_cpu()
    name = "ernie3/ErnieForSequenceClassification"
    model = registry.arch_class(name)(registry.arch_config(name)(**architecture), LABELS)
    model.reset_parameters()
    return _paddle_step(model, architecture["vocab_size"], set_to_zero=False)


def paddlenlp(architecture: dict[str, Any]) -> Callable[[], None]:
    """PaddleNLP's model, eager."""
    from paddlenlp.transformers import ErnieConfig, ErnieForSequenceClassification

    config = ErnieConfig(**architecture, use_task_id=architecture["task_type_vocab_size"] > 0, num_labels=LABELS)
    return _paddle_step(ErnieForSequenceClassification(config), architecture["vocab_size"])


def transformers(architecture: dict[str, Any]) -> Callable[[], None]:
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


SIDES = {"ppernie": ppernie, "PaddleNLP": paddlenlp, "Hugging Face": transformers}


def _peak_mb() -> float | None:
    """Largest resident size of this process so far; None where the system does not tell."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else None


def main(side: str, variant: str) -> None:
    """Serves steps until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with the answers

    def answer(**record: object) -> None:
        answers.write(json.dumps(record) + "\n")

    from ppernie import registry

    try:
        step = SIDES[side](registry.zoo("ernie3")[variant]["architecture"])
    except ImportError as error:
        answer(error=f"{error.name or error} is not installed")
        return
    answer(ready=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        answer(seconds=time.perf_counter() - start, peak_mb=_peak_mb())


if __name__ == "__main__":
    main(*sys.argv[1:])
