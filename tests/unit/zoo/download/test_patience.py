from __future__ import annotations

import io
import sys

import pytest

from ppernie.zoo.download import Policy, progress
from ppernie.zoo.download.progress import Progress


def test_pauses_double_up_to_a_limit() -> None:
    policy = Policy(backoff=1, longest_pause=10)
    for failures, longest in ((1, 1), (2, 2), (4, 8), (5, 10), (1000, 10)):
        pauses = [policy.pause(failures, None) for _ in range(50)]
        assert longest / 2 <= min(pauses) < max(pauses) <= longest
    assert policy.pause(1, 7.0) == 7.0
    assert policy.pause(1, 3600.0) == 10


def test_elsewhere_than_on_a_terminal_a_line_comes_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ppernie")
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = Progress("model/weights.bin")
    for second in range(25):
        now[0] = float(second)
        shown.show(second * 1_000_000, 100_000_000 if second < 15 else None)
    shown.close()
    assert caplog.messages == ["model/weights.bin: 10.0 of 100.0 MB", "model/weights.bin: 20.0 MB"]


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    shown = Progress("model/weights.bin")
    for done in (40, 0, 100):
        shown.show(done, 100)
    shown.close()
    assert "model/weights.bin: 100%" in terminal.getvalue()
