from __future__ import annotations

import math
from typing import Any

import pytest

from ppernie.config.sections import Schedule
from ppernie.optim.schedules import learning_rate, steps_of

PEAK, TOTAL, WARMUP = 0.4, 110, 10


def rate(step: int, **schedule: Any) -> float:
    return learning_rate(Schedule(**{"warmup": WARMUP, **schedule}), PEAK, range(TOTAL + 1), step)


@pytest.mark.parametrize("name", ["linear", "cosine", "polynomial", "wsd", "constant"])
def test_the_warm_up_rises_linearly_and_its_last_update_reaches_the_peak(name: str) -> None:
    rates = [rate(step, name=name) for step in range(WARMUP)]
    assert rates == pytest.approx([PEAK * (step + 1) / WARMUP for step in range(WARMUP)])
    assert rate(WARMUP, name=name) == pytest.approx(PEAK)


@pytest.mark.parametrize(
    ("schedule", "middle", "last"),
    [
        ({"name": "linear"}, 0.5, 0.01),
        ({"name": "cosine"}, 0.5, 0.5 * (1 + math.cos(0.99 * math.pi))),
        ({"name": "polynomial", "power": 2.0}, 0.25, 0.0001),
        ({"name": "polynomial", "power": 1.0}, 0.5, 0.01),
        ({"name": "constant"}, 1.0, 1.0),
        ({"name": "wsd", "decay": 20}, 1.0, 0.05),
    ],
)
def test_the_middle_and_the_last_update_follow_the_closed_formula(
    schedule: dict[str, Any], middle: float, last: float
) -> None:
    assert rate(60, **schedule) == pytest.approx(PEAK * middle)
    assert rate(TOTAL - 1, **schedule) == pytest.approx(PEAK * last)


@pytest.mark.parametrize("name", ["linear", "cosine", "polynomial", "wsd"])
def test_the_floor_is_a_share_of_the_peak(name: str) -> None:
    assert rate(TOTAL, name=name) == pytest.approx(0.0, abs=1e-12)
    assert rate(TOTAL, name=name, min_ratio=0.25) == pytest.approx(PEAK / 4)
    falling = [rate(step, name=name, min_ratio=0.25) for step in range(WARMUP, TOTAL + 1)]
    assert falling == sorted(falling, reverse=True)


def test_wsd_stays_at_the_peak_and_falls_over_its_last_updates() -> None:
    rates = [rate(step, name="wsd", decay=20) for step in range(WARMUP, TOTAL)]
    assert rates[:80] == [PEAK] * 80
    assert rates[80:] == pytest.approx([PEAK * (1 - k / 20) for k in range(20)])


def test_a_fall_longer_than_the_run_begins_after_the_warm_up() -> None:
    assert rate(WARMUP + 1, name="wsd", decay=1000) == pytest.approx(PEAK * 0.99)


def test_without_warm_up_the_first_update_has_the_peak() -> None:
    assert rate(0, warmup=0, name="linear") == PEAK
    assert rate(TOTAL // 2, warmup=0, name="linear") == pytest.approx(PEAK / 2)


def test_shares_and_steps() -> None:
    assert steps_of(0.1, 110) == 11
    assert steps_of(10, 110) == 10
    assert steps_of(0, 110) == steps_of(0.0, 110) == 0
    assert rate(4, warmup=0.1) == rate(4, warmup=11)


def test_by_samples_growing_batches_go_further_with_each_update() -> None:
    schedule = Schedule(name="linear", unit="samples", warmup=30)
    clock = [0, 10, 30, 60, 100, 130]  # 10, 20, 30, 40, 30 samples
    rates = [learning_rate(schedule, 1.0, clock, step) for step in range(5)]
    assert rates == pytest.approx([10 / 30, 1.0, 1.0, 0.7, 0.3])
