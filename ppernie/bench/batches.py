"""How fast a config's training batches are built, beside how fast one training process eats them.

Batches are built in the process that asks for them (0 workers) and by worker processes; the training process takes
steps of forward, backward and AdamW, as the config says, over batches that lie ready. Speed is in tokens without
padding a second. The sides take turns in one run, each in a process of its own, and each starts with the first batches
of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ppernie.bench.batches_side import TRAINING
from ppernie.bench.side import Side, ask_in_turn
from ppernie.errors import UserError
from ppernie.table import render

_WARM_UP = 1


def benchmark(
    config: str, overrides: Sequence[str], workers: int, batches: int, steps: int, rounds: int, threads: int
) -> str:
    """Measures and returns a table; ratios are of tokens a second, to the training process.

    Args:
        config: a training config whose corpus or examples are there.
        overrides: its keys that are changed.
        workers: of the side that has some.
        batches: that a side builds in its turn.
        steps: that the training process takes in its turn.
        rounds: turns of each side, after one that is not counted.
        threads: of the training process.

    Raises:
        UserError: a side failed.
    """
    kinds = {f"building, {count} workers": (str(count), batches) for count in (0, workers)}
    kinds["training"] = (TRAINING, steps)
    sides = {
        name: Side("ppernie.bench.batches_side", [kind, str(count), config, *overrides], threads)
        for name, (kind, count) in kinds.items()
    }
    answers = ask_in_turn(sides, _WARM_UP + rounds)
    for name, side in sides.items():
        if side.error:
            raise UserError(f"bench batches: {name}: {side.error}")
    rates = {name: _rate(answers[name][_WARM_UP:]) for name in sides}
    return render(
        [
            {"side": name, "tokens/s": f"{rate:.0f}", "ratio": f"{rate / rates['training']:.2f}"}
            for name, rate in rates.items()
        ]
    )


def _rate(answers: list[dict[str, Any]]) -> float:
    return sum(answer["tokens"] for answer in answers) / sum(answer["seconds"] for answer in answers)
