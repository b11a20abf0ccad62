"""The sides of ``ppernie bench batches``: ``python -m ppernie.bench.batches_side KIND COUNT CONFIG [KEY=VALUE ...]``.

KIND is ``training``, or the number of workers that build batches.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from itertools import count, islice, pairwise

from ppernie.bench.side import serve
from ppernie.config import load_config
from ppernie.config.sections import Config
from ppernie.data.batches import Batches
from ppernie.device import use_device
from ppernie.engine.accumulation import Accumulation, MicroBatch
from ppernie.engine.assemble import Parts, assemble, build_model
from ppernie.engine.batches import training_batches
from ppernie.engine.pace import Pace
from ppernie.engine.precision import Precision
from ppernie.optim.adamw import AdamW
from ppernie.parallel.ranks import Alone
from ppernie.parallel.topology import resolve, world

TRAINING = "training"
# Batches that Paddle's loader asks of each worker before the first is taken.
_AHEAD = 2

# Does a turn's work, of which it returns tokens and seconds.
Turn = Callable[[], tuple[float, float]]


def _building(batches: Batches, number: int) -> Turn:
    drawn = _endless(batches)

    def turn() -> tuple[float, float]:
        # What the workers made while others had their turn does not count.
        for _ in islice(drawn, _AHEAD * batches.workers):
            pass
        start = time.perf_counter()
        tokens = sum(counts.tokens for _, counts in islice(drawn, number))
        return tokens, time.perf_counter() - start

    return turn


def _endless(batches: Batches) -> Iterator[MicroBatch]:
    for epoch in count():
        yield from batches.iterate(epoch)


def _training(config: Config, parts: Parts, batches: Batches, ranks: Alone, steps: int) -> Turn:
    share = build_model(config, parts, ranks)
    share.network.train()
    optimizer = AdamW(share.network, config.Optimizer, list(share.cuts))
    precision = Precision(config.AMP)
    accumulation = Accumulation(parts.task, share, optimizer.parameters, precision, ranks, Pace(ranks))
    updates = _updates(batches, config.Train.accumulate_steps)

    def turn() -> tuple[float, float]:
        tokens = seconds = 0.0
        for micro_batches in islice(updates, steps):
            start = time.perf_counter()
            accumulation.backward(micro_batches, precision.scale)
            optimizer.step(config.Optimizer.learning_rate)
            optimizer.clear_grad()
            seconds += time.perf_counter() - start
            tokens += sum(counts.tokens for _, counts in micro_batches)
        return tokens, seconds

    return turn


def _updates(batches: Batches, accumulate_steps: int) -> Iterator[list[MicroBatch]]:
    """The batches of each update."""
    drawn = _endless(batches)
    while True:
        for first, last in pairwise([0, *batches.ends(accumulate_steps).tolist()]):
            yield list(islice(drawn, last - first))


def main(kind: str, number: str, path: str, *overrides: str) -> None:
    """Answers each line of the input with a turn."""

    def prepare() -> Callable[[str], dict[str, object]]:
        workers = 0 if kind == TRAINING else int(kind)
        config = load_config(path, [*overrides, f"Data.workers={workers}"])
        use_device(config.Global.device, config.Global.threads)
        ranks = Alone(resolve(config.Distributed, world()))
        parts = assemble(config)
        batches = training_batches(config, parts, ranks.topology)
        turn = (
            _training(config, parts, batches, ranks, int(number))
            if kind == TRAINING
            else _building(batches, int(number))
        )

        def answer(_: str) -> dict[str, object]:
            tokens, seconds = turn()
            return {"tokens": tokens, "seconds": seconds}

        return answer

    serve(prepare)


if __name__ == "__main__":
    main(*sys.argv[1:])
