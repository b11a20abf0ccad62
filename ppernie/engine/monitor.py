"""Watches the loss of a run."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ppernie.config.sections import TrainSection

Verdict = Literal["ok", "report", "skip", "rollback", "stop"]


class LossMonitor:
    """Judges every update before it is applied.

    A loss or gradient norm that is not finite leads to ``Train.on_nan``; a loss above ``factor`` times the mean of
    the last ``window`` good ones leads to ``Train.spike.action``.
    """

    def __init__(self, section: TrainSection) -> None:
        self.section = section
        self.history: deque[float] = deque(maxlen=section.spike.window if section.spike else 1)

    def judge(self, loss: float, grad_norm: float) -> tuple[Verdict, str]:
        """The verdict on an update and, where it is not ``ok``, the reason."""
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            return self.section.on_nan, f"loss {loss}, gradient norm {grad_norm}"
        spike = self.section.spike
        if spike and len(self.history) == spike.window:
            mean = sum(self.history) / len(self.history)
            if loss > spike.factor * mean:
                return (
                    spike.action,
                    f"loss {loss:.5f} is more than {spike.factor:g} times the recent mean {mean:.5f}",
                )
        self.history.append(loss)
        return "ok", ""
