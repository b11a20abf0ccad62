"""How many ranks there are, and which part of the work each of them has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from ppernie.config.sections import DistributedSection
from ppernie.errors import UserError


@dataclass(frozen=True)
class World:
    """The processes that the launcher started, and which of them this one is."""

    size: int = 1
    rank: int = 0


def world() -> World:
    """What ``paddle.distributed.launch`` told this process; one rank where nothing launched it."""
    return World(int(os.environ.get("PADDLE_TRAINERS_NUM", "1")), int(os.environ.get("PADDLE_TRAINER_ID", "0")))


@dataclass(frozen=True)
class Topology:
    """Degrees whose product is the number of ranks, and this rank's place among them."""

    # From the outermost to the innermost, by which fleet numbers its ranks: tensor-parallel ranks are neighbours.
    AXES: ClassVar = ("dp", "pp", "sharding", "sep", "mp")

    dp: int = 1
    sharding: int = 1
    mp: int = 1
    pp: int = 1
    sep: int = 1
    rank: int = 0

    @property
    def world(self) -> int:
        """Number of ranks."""
        return math.prod(self._degrees())

    @property
    def data_world(self) -> int:
        """Number of parts that a batch is dealt out in: sharding ranks, too, have their own examples."""
        return self.dp * self.sharding

    def place(self, rank: int) -> dict[str, int]:
        """Coordinates of a rank by axis."""
        places = {}
        for axis, degree in reversed(list(zip(self.AXES, self._degrees(), strict=True))):
            rank, places[axis] = divmod(rank, degree)
        return places

    @property
    def mp_rank(self) -> int:
        """Which part of a cut weight this rank holds."""
        return self.place(self.rank)["mp"]

    @property
    def pp_rank(self) -> int:
        """The pipeline stage of this rank."""
        return self.place(self.rank)["pp"]

    @property
    def dp_rank(self) -> int:
        """Which copy of weights and optimizer state this rank has."""
        return self.place(self.rank)["dp"]

    @property
    def sharding_rank(self) -> int:
        """Which part of the optimizer state this rank holds."""
        return self.place(self.rank)["sharding"]

    @property
    def data_rank(self) -> int:
        """Which part of a batch this rank reads."""
        place = self.place(self.rank)
        return place["dp"] * self.sharding + place["sharding"]

    def data_groups(self) -> Iterator[list[int]]:
        """The ranks that hold the same weights and read different examples, group by group."""
        for kept in product(range(self.pp), range(self.sep), range(self.mp)):
            yield [rank for rank in range(self.world) if self._weights_of(rank) == kept]

    def _weights_of(self, rank: int) -> tuple[int, int, int]:
        place = self.place(rank)
        return place["pp"], place["sep"], place["mp"]

    def degrees(self) -> dict[str, int]:
        """Degrees by axis."""
        return dict(zip(self.AXES, self._degrees(), strict=True))

    def _degrees(self) -> list[int]:
        return [getattr(self, axis) for axis in self.AXES]


def runs_of(blocks: int, count: int) -> list[range]:
    """Cuts a row of blocks into runs, of which the first has the embedding besides, and the last the head.

    Either counts as a block, and what does not divide goes to the outer runs first.
    """
    least, rest = divmod(blocks + 2, count)
    outer = sorted(range(count), key=lambda run: min(2 * run, 2 * (count - 1 - run) + 1))
    sizes = [least] * count
    for run in outer[:rest]:
        sizes[run] += 1
    sizes[0] -= 1
    sizes[-1] -= 1
    stops = [sum(sizes[: run + 1]) for run in range(count)]
    return [range(stop - size, stop) for size, stop in zip(sizes, stops, strict=True)]


def resolve(section: DistributedSection, launched: World) -> Topology:
    """The topology of the section over the launched processes; ``dp: null`` takes what the others leave over.

    Raises:
        UserError: the degrees do not multiply to the number of processes; the message prints the equation.
    """
    fixed = {axis: getattr(section, axis) for axis in ("sharding", "mp", "pp", "sep")}
    rest = math.prod(fixed.values())
    dp = max(launched.size // rest, 1) if section.dp is None else section.dp
    if dp * rest != launched.size:
        shown = {"dp": dp} | {axis: degree for axis, degree in fixed.items() if axis != "sep" or degree > 1}
        equation = " x ".join(f"{axis} {degree}" for axis, degree in shown.items())
        started = "1 process was" if launched.size == 1 else f"{launched.size} processes were"
        raise UserError(
            f"{equation} = {dp * rest}, but {started} started; change the degrees of Distributed, or start "
            f"{dp * rest} processes with python -m paddle.distributed.launch --nproc_per_node"
        )
    return Topology(dp=dp, **fixed, rank=launched.rank)
