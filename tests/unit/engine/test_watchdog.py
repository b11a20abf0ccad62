from __future__ import annotations

import logging
import threading

import pytest

from ppernie.engine.watchdog import Watchdog


def a_step_that_hangs(seconds: float) -> None:
    threading.Event().wait(seconds)


def test_a_step_that_hangs_is_reported_with_rank_step_and_place(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ppernie"), Watchdog(3, 0.2) as watchdog:
        watchdog.step(7)
        a_step_that_hangs(1.0)
    messages = [record.message for record in caplog.records]
    assert messages[0].startswith("rank 3 has been in step 7 for ")
    assert "a_step_that_hangs" in messages[0]
    assert len(messages) <= 3  # again at twice the time, not at every look


def test_steps_that_end_are_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ppernie"), Watchdog(0, 0.4) as watchdog:
        for number in range(10):
            watchdog.step(number)
            a_step_that_hangs(0.1)
    assert not caplog.records


def test_nothing_is_watched_without_a_limit() -> None:
    before = threading.active_count()
    with Watchdog(0, None):
        assert threading.active_count() == before
