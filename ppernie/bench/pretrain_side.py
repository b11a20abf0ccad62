"""The sides of ``ppernie bench pretrain``: ``python -m ppernie.bench.pretrain_side SIDE VARIANT TEXT VOCAB``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ppernie import registry
from ppernie.bench.side import serve
from ppernie.data.batches import TrainingBatches
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.tasks.base import Item
from ppernie.tasks.masked_language_modeling import MaskedLanguageModeling, Options
from ppernie.zoo import manifest

BASELINE = "PaddleNLP"
BATCH, LENGTH, LEARNING_RATE, WEIGHT_DECAY = 16, 128, 1e-4, 0.01

# Calls once for a step; returns its tokens without padding.
Step = Callable[[], float]


def _items(text: str, vocab: str) -> tuple[MaskedLanguageModeling, list[Item]]:
    task = MaskedLanguageModeling(Options(), ErnieTokenizer.from_vocab(vocab), LENGTH)
    with Path(text).open(encoding="utf-8") as file:
        lines = [stripped for line in file if (stripped := line.strip())]
    return task, [item for line in lines for item in task.expand({"text": line}, True)]


def _ppernie(architecture: dict[str, Any], text: str, vocab: str) -> Step:
    """This library's model, task and batches, as its trainer runs them."""
    from ppernie.engine.evaluate import network_inputs
    from ppernie.nn.tuning import tune_cpu

    tune_cpu()
    name = "ernie3/ErnieForMaskedLM"
    model = registry.arch_class(name)(registry.arch_config(name)(**architecture))
    model.reset_parameters()
    task, items = _items(text, vocab)
    batches = TrainingBatches(task, items, BATCH, 0, 0)

    def endless() -> Iterator[Any]:
        epoch = 0
        while True:
            yield from batches.iterate(epoch)
            epoch += 1

    drawn = endless()

    def loss() -> tuple[Any, float]:
        batch, counts = next(drawn)
        return task.loss(model(**network_inputs(task, batch)), batch) / counts.weights[0], counts.tokens

    return _step(model, loss, set_to_zero=False)


def _paddlenlp(architecture: dict[str, Any], text: str, vocab: str) -> Step:
    """PaddleNLP's model, eager, on the lines in a random order."""
    import paddle
    from paddlenlp.transformers import ErnieConfig, ErnieForPretraining
    from paddlenlp.transformers.ernie.modeling import ErniePretrainingCriterion

    config = ErnieConfig(**architecture, use_task_id=architecture["task_type_vocab_size"] > 0)
    model, criterion = ErnieForPretraining(config), ErniePretrainingCriterion(with_nsp_loss=False)
    task, items = _items(text, vocab)
    order = np.random.default_rng(0).permutation(len(items))
    taken = 0

    def loss() -> tuple[Any, float]:
        nonlocal taken
        rows = [items[i] for i in np.take(order, range(taken, taken + BATCH), mode="wrap")]
        taken += BATCH
        features = [task.encode(item, (0, taken, row)) for row, item in enumerate(rows)]
        ids = np.full([BATCH, LENGTH], task.tokenizer.pad_id)
        for row, sample in enumerate(features):
            ids[row, : len(sample["input_ids"])] = sample["input_ids"]
        positions = np.concatenate([row * LENGTH + sample["positions"] for row, sample in enumerate(features)])
        labels = np.concatenate([sample["labels"] for sample in features])
        scores, _ = model(paddle.to_tensor(ids), masked_positions=paddle.to_tensor(positions))
        return criterion(scores, None, paddle.to_tensor(labels[:, None])).mean(), float((ids != 0).sum())

    return _step(model, loss)


def _step(model: Any, loss: Callable[[], tuple[Any, float]], **clear: bool) -> Step:
    import paddle

    optimizer = paddle.optimizer.AdamW(LEARNING_RATE, parameters=model.parameters(), weight_decay=WEIGHT_DECAY)
    model.train()

    def step() -> float:
        value, tokens = loss()
        value.backward()
        optimizer.step()
        optimizer.clear_grad(**clear)
        return tokens

    return step


SIDES = {"ppernie": _ppernie, BASELINE: _paddlenlp}


def main(side: str, variant: str, text: str, vocab: str) -> None:
    """Answers each line of the input with one timed step."""

    def prepare() -> Callable[[str], dict[str, object]]:
        step = SIDES[side](manifest.find(variant).architecture, text, vocab)

        def timed(_: str) -> dict[str, object]:
            start = time.perf_counter()
            tokens = step()
            return {"seconds": time.perf_counter() - start, "tokens": tokens}

        return timed

    serve(prepare)


if __name__ == "__main__":
    main(*sys.argv[1:])
