"""The sides of ``ppernie bench distributed``, processes ``python -m ppernie.bench.distributed_side SIDE FOLDER``."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from ppernie.bench.side import memory_mb, serve

CONFIG = "config.json"
ONES, PLAIN, BARE, SAVING = "Distributed, all ones", "no Distributed", "bare loop", "saving beside"
SAVES = 4  # of the side that saves, the last one at its end
_DEGREES = ("dp", "sharding", "mp", "pp", "sep", "ep")


class _Clock:
    """When each step ended, in seconds since the epoch, and the largest memory until then, if the system tells it."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.peak: float | None = None

    def stop(self) -> None:
        self.ends.append(time.time())
        self.peak = memory_mb("VmHWM")

    def listen(self, record: logging.LogRecord) -> bool:
        """As a filter of the trainer's log, which has a line for each step, and before any save."""
        if record.getMessage().startswith("[Train]"):
            self.stop()
        return True

    def answer(self) -> dict[str, object]:
        return {"ends": self.ends, "peak": self.peak}


def _trained(values: dict[str, Any]) -> dict[str, object]:
    """A run of the trainer; ``inside`` holds the seconds that it counts as each step's own."""
    from ppernie.config import parse_config
    from ppernie.engine.train import train

    clock = _Clock()
    logging.getLogger("ppernie").addFilter(clock.listen)
    train(parse_config(values))
    lines = Path(values["Global"]["output_dir"], "train_log.jsonl").read_text(encoding="utf-8").splitlines()
    return clock.answer() | {"inside": [json.loads(line)["batch_cost"] for line in lines]}


def _ones(values: dict[str, Any]) -> dict[str, object]:
    return _trained(values | {"Distributed": dict.fromkeys(_DEGREES, 1)})


def _saving(values: dict[str, Any]) -> dict[str, object]:
    every = values["Train"]["save_every"] // SAVES
    answer = _trained(values | {"Train": values["Train"] | {"save_every": every, "async_save": True}})
    return answer | {"save_every": every}


def _bare(values: dict[str, Any]) -> dict[str, object]:
    """What a user writes without a trainer; after it, copies of weights and moments."""
    import paddle

    from ppernie.config import parse_config
    from ppernie.data.batches import TrainingBatches
    from ppernie.device import use_device
    from ppernie.engine.assemble import assemble
    from ppernie.engine.evaluate import network_inputs

    config, clock = parse_config(values), _Clock()
    use_device(config.Global.device, config.Global.threads)
    parts = assemble(config)
    network: Any = parts.description.build_model(parts.task)
    network.reset_parameters()
    optimizer = paddle.optimizer.AdamW(config.Optimizer.learning_rate, parameters=network.parameters())
    network.train()
    for batch, counts in TrainingBatches(parts.task, parts.train, config.Train.batch_size, 0, 0).iterate(0):
        loss = parts.task.loss(network(**network_inputs(parts.task, batch)), batch) / counts.weights[0]
        loss.backward()
        optimizer.step()
        optimizer.clear_grad(set_to_zero=False)
        clock.stop()
    answer = clock.answer()
    moments = [value for value in optimizer.state_dict().values() if isinstance(value, paddle.Tensor)]
    state, copies = [*network.parameters(), *moments], []
    for _ in range(SAVES):
        start = time.perf_counter()
        arrays = [tensor.numpy() for tensor in state]
        copies.append(time.perf_counter() - start)
        size = sum(array.nbytes for array in arrays)
        del arrays
    return answer | {"copy": median(copies), "state_mb": size / 2**20}


SIDES: dict[str, Callable[[dict[str, Any]], dict[str, object]]] = {
    ONES: _ones,
    PLAIN: _trained,
    BARE: _bare,
    SAVING: _saving,
}


def main(side: str, folder: str) -> None:
    """Answers a line of the input with a whole run."""
    values = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))
    serve(lambda: lambda _: SIDES[side](values))


if __name__ == "__main__":
    main(*sys.argv[1:])
