"""Masked-language-model training of ERNIE on real text beside PaddleNLP's ``ErnieForPretraining``.

Speed is real tokens, without padding, a second, over forward, backward and AdamW in float32 with dropout 0.1. Both
sides take the same batches: the running text cut into full windows, which leaves nothing to pad, with the same masks;
and both project to the vocabulary at masked positions only. Each side lives in a process of its own, and the sides take
turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppernie.bench.pretrain_side import BASELINE, SIDES
from ppernie.bench.side import Side, ask_in_turn
from ppernie.bench.sizes import variant_of
from ppernie.errors import UserError
from ppernie.table import render

_WARM_UP = 2


def benchmark(sizes: Sequence[str], text: str, vocab: str, rounds: int, threads: int) -> str:
    """Measures and returns a table; ratios are of tokens a second, to PaddleNLP.

    Args:
        sizes: keys of ``ppernie.bench.sizes.VARIANTS``.
        text: file of running text, which fills at least a batch.
        vocab: vocabulary file.
        rounds: timed steps of each side, after a few that are not counted.
        threads: of each side.
    """
    for path in (text, vocab):
        if not Path(path).is_file():
            raise UserError(f"{path}: not found; name a file of running text, and a vocab.txt")
    rows = []
    for size in sizes:
        found = _measure([variant_of(size), text, vocab], rounds, threads)
        rates = {name: rate for name, rate in found.items() if isinstance(rate, float)}
        for name, rate in found.items():
            row: dict[str, object] = {"size": size, "side": name, "tokens/s": rate, "ratio": ""}
            if name in rates:
                row["tokens/s"] = f"{rates[name]:.0f}"
                if BASELINE in rates:
                    row["ratio"] = f"{rates[name] / rates[BASELINE]:.2f}"
            rows.append(row)
    return render(rows)


def _measure(arguments: list[str], rounds: int, threads: int) -> dict[str, float | str]:
    """Tokens a second of each side, or why there are none."""
    sides = {name: Side("ppernie.bench.pretrain_side", [name, *arguments], threads) for name in SIDES}
    answers = ask_in_turn(sides, _WARM_UP + rounds)
    return {name: side.error or _rate(answers[name][_WARM_UP:]) for name, side in sides.items()}


def _rate(answers: list[dict[str, Any]]) -> float:
    return sum(answer["tokens"] for answer in answers) / sum(answer["seconds"] for answer in answers)
