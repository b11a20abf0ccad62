"""Mixed precision: casting in forward, and the loss scale that float16 needs."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import paddle

from ppernie.errors import UserError

if TYPE_CHECKING:
    from ppernie.config.sections import AmpSection


def check_precision(section: AmpSection, device: str) -> None:
    """Raises UserError where the device cannot train in ``AMP.dtype``."""
    if device == "cpu" and section.dtype != "float32":
        raise UserError(
            f"AMP.dtype is '{section.dtype}', but Paddle trains in float32 only on a CPU; set AMP.dtype=float32 "
            "(an exported model can still run in bfloat16)"
        )
    if device == "gpu" and section.dtype == "bfloat16" and not paddle.amp.is_bfloat16_supported():
        raise UserError("AMP.dtype is 'bfloat16', which this GPU does not support; set AMP.dtype=float16")


class Precision:
    """``autocast()`` around forward, ``scale`` on the loss, ``update`` after backward.

    Parameters stay float32. The loss scale (Micikevicius et al. 2018, section 3.2) is 1 except in float16, where it
    doubles after ``growth_interval`` finite updates in a row and halves, down to 1, when a gradient overflows; the
    first ``hysteresis - 1`` overflows since it last doubled are borne.
    """

    def __init__(self, section: AmpSection) -> None:
        self.section = section
        self.dynamic = section.dtype == "float16"
        self.scale = section.initial_loss_scale if self.dynamic else 1.0
        self.finite_updates, self.overflows = 0, 0

    def autocast(self) -> AbstractContextManager[None]:
        """The context in which the network runs."""
        dtype = self.section.dtype
        return paddle.amp.auto_cast(enable=dtype != "float32", dtype="float16" if dtype == "float32" else dtype)

    def overflowed(self, grad_norm: float) -> bool:
        """Adapts the scale; True where this update must be dropped because the scale was too high."""
        if not self.dynamic:
            return False
        if not math.isfinite(grad_norm):
            self.finite_updates = 0
            if self.scale <= 1.0:
                return False
            self.overflows += 1
            if self.overflows >= self.section.hysteresis:
                self.scale = max(self.scale / 2, 1.0)
            return True
        self.finite_updates += 1
        if self.finite_updates == self.section.growth_interval:
            self.scale, self.finite_updates, self.overflows = self.scale * 2, 0, 0
        return False

    def state_dict(self) -> dict[str, float]:
        return {"scale": self.scale, "finite_updates": self.finite_updates, "overflows": self.overflows}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.scale, self.finite_updates = state["scale"], int(state["finite_updates"])
        self.overflows = int(state.get("overflows", 0))
