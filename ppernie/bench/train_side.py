"""The sides of ``ppernie bench train``, one a process: ``python -m ppernie.bench.train_side SIDE VARIANT``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from ppernie import registry
from ppernie.bench.side import serve
from ppernie.zoo import manifest

BASELINE = "PaddleNLP"
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


SIDES = {"ppernie": _ppernie, BASELINE: _paddlenlp, "Hugging Face": _transformers}


def main(side: str, variant: str) -> None:
    """Answers each line of the input with one timed step."""

    def prepare() -> Callable[[str], dict[str, object]]:
        step = SIDES[side](manifest.find(variant).architecture)

        def timed(_: str) -> dict[str, object]:
            start = time.perf_counter()
            step()
            return {"seconds": time.perf_counter() - start}

        return timed

    serve(prepare)


if __name__ == "__main__":
    main(*sys.argv[1:])
