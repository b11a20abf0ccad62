from __future__ import annotations

import numpy as np
import pytest

from ppernie.errors import UserError
from ppernie.parallel.cut import Cut

CUTS = [
    Cut((6, 8)),
    Cut((8, 3), 0),
    Cut((3, 24), 1),
    Cut((3, 24), 1, blocks=2),
    Cut((3, 24), 1, unit=3),
    Cut((24,), 0, blocks=2, unit=3),
]
EACH = pytest.mark.parametrize("cut", CUTS, ids=lambda cut: f"{cut.shape}-{cut.axis}-{cut.blocks}-{cut.unit}")


@EACH
@pytest.mark.parametrize("degree", [1, 2, 4])
def test_the_parts_make_the_whole(cut: Cut, degree: int) -> None:
    whole = np.arange(np.prod(cut.shape)).reshape(cut.shape)
    parts = [cut.take(whole, degree, rank) for rank in range(degree)]
    assert all(part.shape == cut.local_shape(degree) for part in parts)
    np.testing.assert_array_equal(cut.join(parts), whole)


@EACH
@pytest.mark.parametrize("degree", [1, 2, 4])
def test_rectangles_cover_every_element_once(cut: Cut, degree: int) -> None:
    whole = np.arange(np.prod(cut.shape)).reshape(cut.shape)
    seen = np.zeros(cut.shape, int)
    for rank in range(degree):
        part = cut.take(whole, degree, rank)
        for offset, inside in cut.offsets(degree, rank):
            piece = part[inside]
            place = tuple(slice(o, o + n) for o, n in zip(offset, piece.shape, strict=True))
            np.testing.assert_array_equal(whole[place], piece)
            seen[place] += 1
    assert (seen == (degree if cut.axis is None and degree > 1 else 1)).all()


def test_a_block_is_cut_by_itself_and_a_unit_never() -> None:
    glu = Cut((12,), 0, blocks=2)
    assert glu.ranges(2, 0) == [(0, 3), (6, 9)]
    assert glu.ranges(2, 1) == [(3, 6), (9, 12)]
    with pytest.raises(UserError, match="w: 12 = 1 blocks x 3 units of 4 .* Distributed.mp = 2"):
        Cut((12,), 0, unit=4).check("w", 2)
    Cut((12,), 0, unit=4).check("w", 3)
