"""The sides of ``ppernie bench pretrain``: ``python -m ppernie.bench.pretrain_side SIDE VARIANT TEXT VOCAB``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from ppernie import registry
from ppernie.bench.side import serve
from ppernie.data.batches import Counts, TrainingBatches
from ppernie.data.readers.files import read_document
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError
from ppernie.tasks.base import Item
from ppernie.tasks.masked_language_modeling import MaskedLanguageModeling, Options
from ppernie.zoo import manifest

BASELINE = "PaddleNLP"
BATCH, LENGTH, LEARNING_RATE, WEIGHT_DECAY = 16, 128, 1e-4, 0.01

# Calls once for a step; returns its tokens without padding.
Step = Callable[[], float]


def windows(text: str, vocab: str) -> tuple[MaskedLanguageModeling, list[Item]]:
    """The task, and a file's running text as inputs of ``LENGTH`` tokens each; what is left at its end is left out.

    Raises:
        UserError: the text does not fill a batch.
    """
    task = MaskedLanguageModeling(Options(), ErnieTokenizer.from_vocab(vocab), LENGTH)
    running = read_document(Path(text))
    first = task.tokenizer.encode(running, max_length=LENGTH)
    full = [cut for cut in (first, *first.overflowing) if len(cut) == LENGTH]
    if len(full) < BATCH:
        raise UserError(
            f"{text}: fills {len(full)} inputs of {LENGTH} tokens, and a step takes {BATCH}; give more text"
        )
    return task, [Item({"text": ""}, True, LENGTH, cut) for cut in full]


def _drawn(task: MaskedLanguageModeling, items: list[Item]) -> Iterator[tuple[Any, Counts]]:
    """Batches without end, the same for each side."""
    batches = TrainingBatches(task, items, BATCH, 0, 0)
    for epoch in count():
        yield from batches.iterate(epoch)


def _ppernie(architecture: dict[str, Any], text: str, vocab: str) -> Step:
    """This library's model with its kernels; the optimizer is Paddle's, as the other side's."""
    from ppernie.engine.evaluate import network_inputs
    from ppernie.nn.tuning import tune_cpu

    tune_cpu()
    name = "ernie3/ErnieForMaskedLM"
    model = registry.arch_class(name)(registry.arch_config(name)(**architecture))
    model.reset_parameters()
    task, items = windows(text, vocab)
    drawn = _drawn(task, items)

    def loss() -> tuple[Any, float]:
        batch, counts = next(drawn)
        return task.loss(model(**network_inputs(task, batch)), batch) / counts.weights[0], counts.tokens

    return _step(model, loss, set_to_zero=False)


def _paddlenlp(architecture: dict[str, Any], text: str, vocab: str) -> Step:
    """PaddleNLP's model, eager."""
    from paddlenlp.transformers import ErnieConfig, ErnieForPretraining
    from paddlenlp.transformers.ernie.modeling import ErniePretrainingCriterion

    config = ErnieConfig(**architecture, use_task_id=architecture["task_type_vocab_size"] > 0)
    model, criterion = ErnieForPretraining(config), ErniePretrainingCriterion(with_nsp_loss=False)
    drawn = _drawn(*windows(text, vocab))

    def loss() -> tuple[Any, float]:
        batch, counts = next(drawn)
        scores, _ = model(batch["input_ids"], masked_positions=batch["masked_positions"])
        return criterion(scores, None, batch["labels"].unsqueeze(1)).mean(), counts.tokens

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
