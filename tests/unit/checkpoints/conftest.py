"""States of several tensors, cut at random over ranks that write at the same time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.checkpoints import Box, Checkpoints, Ranks, Slice

State = dict[str, np.ndarray]


def random_cut(shape: tuple[int, ...], draw: np.random.Generator, cuts: int) -> list[Box]:
    """Rectangles that make the whole: one is cut in two, ``cuts`` times."""
    boxes = [Box((0,) * len(shape), shape)]
    for _ in range(cuts):
        offset, size = boxes.pop(draw.integers(len(boxes)))
        axes = [axis for axis, length in enumerate(size) if length > 1]
        if not axes:
            boxes.append(Box(offset, size))
            continue
        axis = draw.choice(axes)
        cut = int(draw.integers(1, size[axis]))
        rest = (*offset[:axis], offset[axis] + cut, *offset[axis + 1 :])
        boxes.append(Box(offset, (*size[:axis], cut, *size[axis + 1 :])))
        boxes.append(Box(rest, (*size[:axis], size[axis] - cut, *size[axis + 1 :])))
    return boxes


@pytest.fixture
def cut_state() -> Callable[..., list[list[Slice]]]:
    """Every tensor cut at random, the pieces dealt to ranks at random."""

    def cut(state: State, draw: np.random.Generator, world: int, cuts: int = 3) -> list[list[Slice]]:
        ranks: list[list[Slice]] = [[] for _ in range(world)]
        for name, array in state.items():
            for box in random_cut(array.shape, draw, int(draw.integers(cuts + 1))):
                ranks[draw.integers(world)].append(Slice(name, array.shape, box.offset, array[box.where()]))
        return ranks

    return cut


@pytest.fixture
def save_all() -> Callable[..., list[Any]]:
    """Saves what each rank owns, all ranks at once; the errors of the ranks, None where there was none."""

    def save(folder: Path, step: int, owned: list[list[Slice]], patience: float = 30.0) -> list[Any]:
        ranks = Ranks(world=len(owned), patience=patience)

        def one(rank: int) -> Exception | None:
            try:
                store = Checkpoints(folder, 3, replace(ranks, rank=rank), {"mp": len(owned)})
                store.save(step, owned[rank], {"step": step})
            except Exception as error:
                return error
            return None

        with ThreadPoolExecutor(len(owned)) as pool:
            return list(pool.map(one, range(len(owned))))

    return save


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What was logged."""
    monkeypatch.setattr(logging.getLogger("ppernie"), "propagate", True)
    yield caplog
