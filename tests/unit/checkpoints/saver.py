"""A rank that saves one checkpoint after the other until it is killed: saver.py FOLDER RANK WORLD ATTEMPT [beside]."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from ppernie.checkpoints import Checkpoints, Ranks, Slice, whole


def state_at(step: int) -> dict[str, np.ndarray]:
    """What a run that no one kills holds after a number of updates; its size varies with the step."""
    draw = np.random.default_rng(step)
    return {
        "model/w": draw.random((64, 1 + step % 7 * 500), np.float32),
        "optimizer/w.moment1": draw.random((8, 6, 10), np.float32),
        "optimizer/w.beta1_pow_acc": draw.random(1, np.float32),
    }


def owned(step: int, rank: int, world: int) -> list[Slice]:
    """The columns that a rank owns; the first rank owns what is not cut."""
    slices = []
    for name, array in state_at(step).items():
        if array.ndim > 1:
            first, last = (array.shape[1] * end // world for end in (rank, rank + 1))
            slices.append(Slice(name, array.shape, (0, first, 0)[: array.ndim], array[:, first:last]))
        elif rank == 0:
            slices.append(whole(name, array))
    return slices


def main(folder: str, rank: str, world: str, attempt: str, *beside: str) -> None:
    store = Checkpoints(Path(folder), 2, Ranks(int(rank), int(world), attempt))
    found = store.complete()
    step = found[-1][0] if found else 0
    if rank == "0":
        store.latest()
    print("ready", flush=True)
    while True:
        step += 1
        store.save(step, owned(step, int(rank), int(world)), {"step": step}, beside=bool(beside))


if __name__ == "__main__":
    main(*sys.argv[1:])
