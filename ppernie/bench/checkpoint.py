"""Saving and loading a checkpoint beside the disk itself and Paddle's own ``paddle.distributed.save_state_dict``.

Every round writes the same float32 tensors in turns: as one plain file that is synced, by us, by us beside the
training, and by Paddle, once as it is (it syncs nothing) and once with its files synced after it. Before each turn the
system writes out what it has kept; files just written are read from its cache. The stall is how long saving beside the
training holds it up: it needs a copy of the weights, which alone is timed just before.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from ppernie.bench.scratch import scratch
from ppernie.checkpoints import Checkpoints, open_checkpoint, whole
from ppernie.files import sync
from ppernie.table import render

_TENSOR_MB = 32
_PLAIN, _OURS, _BESIDE, _PADDLE, _SYNCED = (
    "plain write",
    "ppernie",
    "ppernie, beside",
    "paddle.distributed",
    "paddle.distributed, synced",
)


def benchmark(size_mb: int, rounds: int, folder: str | None) -> str:
    """Measures and returns a table; times are medians, ratios medians over rounds.

    Args:
        size_mb: of the checkpoint, in MiB.
        rounds: saves and loads of each side, in turns.
        folder: on the disk to measure; None takes the system's temporary folder.

    Raises:
        UserError: there is no such folder, or its disk is full.
    """
    import paddle

    with scratch(folder) as place:
        paddle.set_device("cpu")
        count = max(1, size_mb // _TENSOR_MB)
        shape = [size_mb * 2**18 // count // 1024, 1024]
        tensors = {f"model/layer.{n}": paddle.uniform(shape, "float32") for n in range(count)}
        taken = [_round(tensors, place / str(n)) for n in range(rounds)]
    megabytes = sum(tensor.size for tensor in tensors.values()) * 4 / 2**20
    return render([_row(name, taken, megabytes) for name in (_PLAIN, _OURS, _BESIDE, _PADDLE, _SYNCED)])


Taken = dict[tuple[str, str], float]


def _round(tensors: dict, place: Path) -> Taken:
    from paddle.distributed import load_state_dict, save_state_dict

    place.mkdir()
    arrays = [tensor.numpy() for tensor in tensors.values()]
    slices = [whole(name, tensor) for name, tensor in tensors.items()]
    taken: Taken = {}

    def timed(side: str, what: str, job: Callable[[], object]) -> None:
        os.sync()
        start = time.perf_counter()
        job()
        taken[side, what] = time.perf_counter() - start

    def write_plain() -> None:
        with open(place / "plain", "wb") as file:
            for array in arrays:
                file.write(array.data)
            file.flush()
            os.fsync(file.fileno())

    def read_plain() -> None:
        with open(place / "plain", "rb", buffering=0) as file:
            for array in arrays:
                file.readinto(array.reshape(-1).view(np.uint8).data)

    def read_ours() -> None:
        checkpoint = open_checkpoint(place / "ours" / "step_00000001")
        for name, array in zip(tensors, arrays, strict=True):
            checkpoint.tensors[name].read_into(array)

    def save_synced() -> None:
        save_state_dict(tensors, str(place / "synced"))
        for path in [*(place / "synced").iterdir(), place / "synced"]:
            sync(path)

    timed(_PLAIN, "save", write_plain)
    timed(_PLAIN, "load", read_plain)
    timed(_OURS, "save", lambda: Checkpoints(place / "ours", 1).save(1, slices, {}))
    timed(_OURS, "load", read_ours)
    timed(_BESIDE, "copy", lambda: [tensor.numpy() for tensor in tensors.values()])
    beside, start = Checkpoints(place / "beside", 1), time.perf_counter()
    timed(_BESIDE, "stall", lambda: beside.save(1, slices, {}, beside=True))
    beside.wait()
    taken[_BESIDE, "save"] = time.perf_counter() - start
    timed(_PADDLE, "save", lambda: save_state_dict(tensors, str(place / "paddle")))
    timed(_PADDLE, "load", lambda: load_state_dict(tensors, str(place / "paddle")))
    timed(_SYNCED, "save", save_synced)
    shutil.rmtree(place)
    return taken


def _row(side: str, taken: list[Taken], megabytes: float) -> dict[str, object]:
    def seconds(what: str) -> str:
        return f"{median(one[side, what] for one in taken):.2f}" if (side, what) in taken[0] else ""

    def ratio(what: str, other: tuple[str, str]) -> str:
        if (side, what) not in taken[0]:
            return ""
        return f"{median(one[other] / one[side, what] for one in taken):.2f}"

    save = median(one[side, "save"] for one in taken)
    return {
        "side": side,
        "save s": seconds("save"),
        "MiB/s": f"{megabytes / save:.0f}",
        "speed / plain": ratio("save", (_PLAIN, "save")),
        "load s": seconds("load"),
        "load speed / plain": ratio("load", (_PLAIN, "load")),
        "copy s": seconds("copy"),
        "stall s": seconds("stall"),
        "copy / stall": ratio("stall", (side, "copy")),
    }
