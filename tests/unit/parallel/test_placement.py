"""Parts of parts: what ranks have of a tensor that is cut over tensor-parallel ranks, and their parts over others."""

from __future__ import annotations

import numpy as np
import pytest

from ppernie.checkpoints.slices import check_cover
from ppernie.parallel.cut import Cut
from ppernie.parallel.placement import Placement, Step

WHOLE = np.arange(48.0).reshape(12, 4)


def placements(over_mp: Cut, rows: Cut) -> list[Placement]:
    return [Placement((Step(over_mp, 2, mp), Step(rows, 3, rank))) for mp in range(2) for rank in range(3)]


@pytest.mark.parametrize(
    ("over_mp", "rows"),
    [
        (Cut((12, 4), 1), Cut((12, 2), 0)),
        (Cut((12, 4), 0), Cut((6, 4), 0)),
        # The halves of a gated unit: the middle one of three has rows of both.
        (Cut((12, 4), 0, blocks=2), Cut((6, 4), 0)),
    ],
)
def test_rectangles_make_the_whole_and_hold_what_each_rank_takes(over_mp: Cut, rows: Cut) -> None:
    found = []
    for placement in placements(over_mp, rows):
        part = placement.take(WHOLE)
        assert part.shape == placement.shape
        assert placement.is_first and not placement.is_whole
        seen = np.zeros(part.shape)
        for place, here in placement.rectangles():
            np.testing.assert_array_equal(part[here.where()], WHOLE[place.where()])
            seen[here.where()] += 1
            found.append(place)
        assert (seen == 1).all()
    check_cover(WHOLE.shape, found)


def test_of_equal_parts_one_rank_is_the_first() -> None:
    whole = placements(Cut((12, 4)), Cut((12, 4)))
    assert [placement.is_first for placement in whole] == [True] + 5 * [False]
    assert all(placement.is_whole for placement in whole)
    rows = placements(Cut((12, 4)), Cut((12, 4), 0))
    assert [placement.is_first for placement in rows] == [True] * 3 + [False] * 3
    columns = placements(Cut((12, 4), 1), Cut((12, 2)))
    assert [placement.is_first for placement in columns] == [True, False, False] * 2
