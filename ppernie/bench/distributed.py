"""What the machinery of many ranks costs a run that has one, and what saving beside the training costs a step.

Each round trains the same batches anew in a new process for every side: by the trainer with all degrees of
``Distributed`` given as 1, by the trainer without that section, and by a bare loop of network, Paddle's AdamW and our
batches, which clips nothing and logs nothing. A step is 8 texts of 128 tokens, from one log line to the next; start-up
is from the start of the process to the end of its first step; memory is the largest up to the last step.

One more process a round saves beside its training (``Train.async_save``). The stall is the time between two steps with
a save between them, beyond that between others; the copy is that of the same weights and moments to arrays of NumPy in
the process of the bare loop, nothing else going on. The step after a save has the writer beside it, which takes its
share of processors and memory: hence its time beside that of the other steps.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ppernie.bench.distributed_side import BARE, CONFIG, ONES, PLAIN, SAVES, SAVING, SIDES
from ppernie.bench.side import PAUSE_SECONDS, Side
from ppernie.bench.sizes import variant_of
from ppernie.errors import UserError
from ppernie.table import render

_BATCH, _LENGTH = 8, 128
_LETTERS = [chr(code) for code in range(0x4E00, 0x4E00 + 2000)]

# Of one process: the seconds of its start-up and of its steps, and what its side answered.
Taken = dict[str, Any]


def benchmark(sizes: Sequence[str], steps: int, rounds: int, threads: int) -> str:
    """Measures and returns two tables; times are medians, ratios medians over rounds.

    Args:
        sizes: keys of ``ppernie.bench.sizes.VARIANTS``.
        steps: of each process; a quarter of them lies between two saves.
        rounds: processes of each side, in turns.
        threads: threads for each side.

    Raises:
        UserError: a size is unknown, there are too few steps, or a side failed.
    """
    if steps < 2 * SAVES:
        raise UserError(f"--steps {steps}: too few to tell steps after a save from others; take {2 * SAVES} or more")
    variants = {size: variant_of(size) for size in sizes}
    taken = {size: _measure(variant, steps, rounds, threads) for size, variant in variants.items()}
    costs = [{"size": size, **row} for size, sides in taken.items() for row in cost_rows(sides)]
    stalls = [{"size": size, **stall_row(sides)} for size, sides in taken.items()]
    return f"{render(costs)}\n\n{render(stalls)}"


def _measure(variant: str, steps: int, rounds: int, threads: int) -> dict[str, list[Taken]]:
    taken: dict[str, list[Taken]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name in SIDES:
            with tempfile.TemporaryDirectory() as folder:
                _write_run(Path(folder), variant, steps, threads)
                taken[name].append(_take(name, folder, threads))
            time.sleep(PAUSE_SECONDS)
    return taken


def _write_run(folder: Path, variant: str, steps: int, threads: int) -> None:
    """The config of a run and its data: as many random texts as its steps need."""
    draw = random.Random(0)
    texts = ("".join(draw.choices(_LETTERS, k=_LENGTH)) for _ in range(steps * _BATCH))
    rows = (json.dumps({"text": text, "label": str(number % 2)}) for number, text in enumerate(texts))
    (folder / "train.jsonl").write_text("\n".join(rows), encoding="utf-8")
    tokens = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *_LETTERS]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    values = {
        "Global": {"output_dir": str(folder / "run"), "device": "cpu", "threads": threads},
        "Arch": {"name": "ernie3/ErnieForSequenceClassification", "variant": variant},
        "Task": {"name": "sequence_classification"},
        "Data": {
            "root": str(folder),
            "tokenizer": {"vocab_file": str(folder / "vocab.txt")},
            "max_length": _LENGTH,
            "train": {"files": "train.jsonl"},
        },
        "Optimizer": {"learning_rate": 5e-5, "clip_norm": None, "schedule": {"name": "constant"}},
        "Train": {"epochs": 1, "batch_size": _BATCH, "log_every": 1, "save_every": steps},
    }
    (folder / CONFIG).write_text(json.dumps(values), encoding="utf-8")


def _take(name: str, folder: str, threads: int) -> Taken:
    began = time.time()
    side = Side("ppernie.bench.distributed_side", [name, folder], threads)
    answer = side.ask()
    side.close()
    if side.error:
        raise UserError(f"{name}: {side.error}")
    ends = answer["ends"]
    seconds = [after - before for before, after in zip(ends, ends[1:], strict=False)]
    return answer | {"start": ends[0] - began, "seconds": seconds, "step": median(seconds)}


def cost_rows(taken: dict[str, list[Taken]]) -> list[dict[str, object]]:
    """A row for each side but the one that saves; ratios are to the trainer without ``Distributed``."""

    def cells(name: str, title: str, key: str, scale: float, digits: int) -> dict[str, object]:
        ratio_title, pairs = f"{title.split()[0]} ratio", list(zip(taken[name], taken[PLAIN], strict=True))
        if any(one[key] is None for pair in pairs for one in pair):
            return {title: "", ratio_title: ""}
        value = median(own[key] for own, _ in pairs)
        return {
            title: f"{scale * value:.{digits}f}",
            ratio_title: f"{median(own[key] / other[key] for own, other in pairs):.3f}",
        }

    return [
        {
            "side": name,
            **cells(name, "start-up s", "start", 1, 2),
            **cells(name, "memory MB", "peak", 1, 0),
            **cells(name, "step ms", "step", 1000, 1),
        }
        for name in (ONES, PLAIN, BARE)
    ]


def stall_row(taken: dict[str, list[Taken]]) -> dict[str, object]:
    """How long saving beside the training holds it up, and the host copy that this needs."""
    copies = [one["copy"] for one in taken[BARE]]
    stalls, slowdowns = zip(*(_stall(one) for one in taken[SAVING]), strict=True)
    return {
        "state MB": f"{taken[BARE][0]['state_mb']:.0f}",
        "copy ms": f"{1000 * median(copies):.0f}",
        "stall ms": f"{1000 * median(stalls):.0f}",
        "stall / copy": f"{median(stall / copy for stall, copy in zip(stalls, copies, strict=True)):.2f}",
        "step beside writer / other": f"{median(slowdowns):.2f}",
    }


def _stall(taken: Taken) -> tuple[float, float]:
    """Seconds between steps that a save adds, and the time of the step after it over that of others."""
    every, inside = taken["save_every"], taken["inside"][1:]
    between = [whole - step for whole, step in zip(taken["seconds"], inside, strict=True)]

    def parted(values: list[float]) -> tuple[float, float]:
        """Medians after a save, and elsewhere; the first value is the second step's."""
        after = [value for number, value in enumerate(values, 1) if number % every == 0]
        return median(after), median(value for number, value in enumerate(values, 1) if number % every)

    (saving, other), (beside, alone) = parted(between), parted(inside)
    return saving - other, beside / alone
