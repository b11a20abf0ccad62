"""Watches the loss and the gradient norm of a run."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from ppernie.config.sections import Spike, TrainSection

Verdict = Literal["ok", "report", "skip", "rollback", "stop"]

# The standard deviation of a normal distribution over its median absolute deviation.
_NORMAL = 1.4826


class Monitor:
    """Judges every update before it is applied.

    A loss or gradient norm that is not finite leads to ``Train.on_nan``. One is a spike, and leads to
    ``Train.spike.action``, where it is

    * more than ``factor`` times the median of the last ``window`` accepted ones, and
    * above it by more than ``deviations`` times their spread, 1.4826 times the median absolute deviation (the
      identifier of Hampel; Davies and Gather 1993, doi:10.1080/01621459.1993.10476339).

    Median and deviation stay what they are under spikes, and the second condition leaves a noisy run its noise.
    """

    def __init__(self, train: TrainSection) -> None:
        self._on_nan, self._spike = train.on_nan, train.spike
        window = train.spike.window if train.spike else 0
        self._accepted: dict[str, deque[float]] = {name: deque(maxlen=window) for name in ("loss", "gradient norm")}

    def judge(self, loss: float, grad_norm: float) -> tuple[Verdict, str]:
        """The verdict on an update and, where it is not ``ok``, the reason."""
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            return self._on_nan, f"loss {loss}, gradient norm {grad_norm}"
        spike, values = self._spike, {"loss": loss, "gradient norm": grad_norm}
        jumps = [jump for name, value in values.items() if spike and (jump := self._jump(spike, name, value))]
        verdict: Verdict = spike.action if spike and jumps else "ok"
        if verdict in ("ok", "report"):
            for name, value in values.items():
                self._accepted[name].append(value)
        return verdict, "; ".join(jumps)

    def _jump(self, spike: Spike, name: str, value: float) -> str | None:
        """What makes a value a spike; None where it is none."""
        accepted = np.array(self._accepted[name])
        if len(accepted) < spike.window:
            return None
        median = float(np.median(accepted))
        spread = _NORMAL * float(np.median(np.abs(accepted - median)))
        if value <= max(spike.factor * median, median + spike.deviations * spread):
            return None
        return f"{name} {value:.5g}, the recent median is {median:.5g} with a spread of {spread:.2g}"

    def state_dict(self) -> dict[str, list[float]]:
        return {name: list(values) for name, values in self._accepted.items()}

    def load_state_dict(self, state: Mapping[str, list[float]]) -> None:
        for name, values in self._accepted.items():
            values.clear()
            values.extend(state.get(name, ()))
