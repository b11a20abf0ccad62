"""Folders beside each other, model folders and exports, each as ``ppernie predict`` would run it.

Each lives in a process of its own, and they take turns, so that what else the machine does hits all of them alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from ppernie.bench.side import Side, ask_in_turn
from ppernie.errors import UserError

_MODULE = "ppernie.bench.compression_side"
_WARM_UP = 1  # compiles kernels


class Measured(NamedTuple):
    """One folder's latency.

    Attributes:
        milliseconds: median time of a batch.
        faster: time of the first folder by this one's, the median over rounds.
        peak_mb: largest resident size of the process; None where the system does not tell.
    """

    milliseconds: float
    faster: float
    peak_mb: float | None


def measure(folders: Sequence[Path], batch: int, length: int, rounds: int, device: str, threads: int) -> list[Measured]:
    """Measures random texts of ``length`` tokens, ``batch`` at a time; ratios are to the first folder.

    Raises:
        UserError: a folder cannot be run.
    """
    arguments = [str(batch), str(length), device, str(threads)]
    sides = {str(number): Side(_MODULE, [str(folder), *arguments], threads) for number, folder in enumerate(folders)}
    answers = ask_in_turn(sides, _WARM_UP + rounds)
    for folder, side in zip(folders, sides.values(), strict=True):
        if side.error:
            raise UserError(f"{folder}: cannot be measured: {side.error}")
    seconds = [[answer["seconds"] for answer in given[_WARM_UP:]] for given in answers.values()]
    return [
        Measured(
            milliseconds=1000 * median(own),
            faster=median(first / mine for first, mine in zip(seconds[0], own, strict=True)),
            peak_mb=given[-1]["peak_mb"],
        )
        for own, given in zip(seconds, answers.values(), strict=True)
    ]
