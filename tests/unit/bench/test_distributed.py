"""The tables of ``ppernie bench distributed`` from given answers; how fast things are is no matter of tests."""

from __future__ import annotations

from typing import Any

import pytest

from ppernie.bench.distributed import benchmark, cost_rows, stall_row
from ppernie.bench.distributed_side import BARE, ONES, PLAIN, SAVING
from ppernie.errors import UserError


def taken(start: float, peak: float, step: float, **more: Any) -> dict[str, Any]:
    return {"start": start, "peak": peak, "step": step, **more}


def test_costs_are_compared_round_by_round() -> None:
    rows = cost_rows(
        {
            ONES: [taken(4.0, 800, 0.2), taken(9.0, 800, 0.4), taken(4.0, 800, 0.3)],
            PLAIN: [taken(4.0, 800, 0.2), taken(9.0, 800, 0.4), taken(5.0, 800, 0.2)],
            BARE: [taken(3.0, 600, 0.1), taken(3.0, 600, 0.2), taken(3.0, 600, 0.1)],
        }
    )
    assert [row["side"] for row in rows] == [ONES, PLAIN, BARE]
    assert [row["start-up s"] for row in rows] == ["4.00", "5.00", "3.00"]
    assert [row["start-up ratio"] for row in rows] == ["1.000", "1.000", "0.600"]
    assert [row["memory ratio"] for row in rows] == ["1.000", "1.000", "0.750"]
    assert [row["step ms"] for row in rows] == ["300.0", "200.0", "100.0"]
    assert [row["step ratio"] for row in rows] == ["1.000", "1.000", "0.500"]


def test_where_the_system_tells_no_memory_the_table_has_none() -> None:
    sides = {name: [{**taken(4.0, 1, 0.2), "peak": None}] for name in (ONES, PLAIN, BARE)}
    assert {(row["memory MB"], row["memory ratio"], row["step ratio"]) for row in cost_rows(sides)} == {
        ("", "", "1.000")
    }


def test_a_stall_is_what_a_save_adds_between_two_steps() -> None:
    # Steps of 100 ms with 1 ms between them; after the third and the sixth comes a save, and a step of 150 ms.
    after = {3, 6}
    inside = [0.1, *(0.15 if number in after else 0.1 for number in range(1, 9))]
    seconds = [step + (0.051 if number in after else 0.001) for number, step in enumerate(inside[1:], 1)]
    saving = {"save_every": 3, "inside": inside, "seconds": seconds}
    row = stall_row({SAVING: [saving], BARE: [taken(1, 1, 1, copy=0.04, state_mb=205.4)]})
    assert list(row.values()) == ["205", "40", "50", "1.25", "1.50"]


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(UserError, match="--steps 4: too few"):
        benchmark(["4x312"], 4, 1, 1)
