"""The loss scale of float16: what it does to gradients, and what it must not do to updates."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.config.sections import AmpSection, Config
from ppernie.engine.precision import Precision, check_precision
from ppernie.engine.train import train
from ppernie.errors import UserError

HALF = AmpSection(dtype="float16", initial_loss_scale=8.0, growth_interval=2)


def test_the_scale_halves_on_overflow_and_doubles_after_finite_updates() -> None:
    precision = Precision(HALF)
    assert precision.overflowed(math.inf) and precision.scale == 4.0
    assert [precision.overflowed(1.0) for _ in range(2)] == [False, False]
    assert precision.scale == 8.0


def test_the_published_settings_bear_one_overflow_until_the_scale_grows_again() -> None:
    """GLM-130B's (arXiv:2210.02414, table 11), with a growth interval of three updates in place of 2,000."""
    precision = Precision(AmpSection(dtype="float16", initial_loss_scale=65536.0, growth_interval=3, hysteresis=2))
    inf, seen = math.inf, []
    for norm in (inf, 1.0, 1.0, inf, inf, 1.0, 1.0, math.nan, 1.0, 1.0, 1.0, inf, inf):
        seen.append((precision.overflowed(norm), int(precision.scale)))
    dropped = [(True, 65536), (True, 32768), (True, 16384), (True, 8192), (True, 16384), (True, 8192)]
    assert [step for step in seen if step[0]] == dropped
    assert [scale for overflowed, scale in seen if not overflowed] == [65536] * 2 + [16384] * 2 + [8192] * 2 + [16384]


def test_the_scale_does_not_fall_below_one() -> None:
    precision = Precision(HALF)
    assert [precision.overflowed(math.inf) for _ in range(5)] == [True, True, True, False, False]
    assert precision.scale == 1.0


def test_a_scale_of_one_leaves_the_fault_to_the_monitor() -> None:
    precision = Precision(HALF.model_copy(update={"initial_loss_scale": 1.0}))
    assert not precision.overflowed(math.nan)


def test_float32_has_no_scale() -> None:
    precision = Precision(AmpSection())
    assert precision.scale == 1.0 and not precision.overflowed(math.inf)


def test_the_state_goes_on_where_it_was() -> None:
    first, second = Precision(HALF), Precision(HALF)
    first.overflowed(math.inf)
    first.overflowed(1.0)
    second.load_state_dict(first.state_dict())
    assert (second.scale, second.finite_updates, second.overflows) == (4.0, 1, 1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_cpu_trains_in_float32_only(dtype: Any) -> None:
    with pytest.raises(UserError, match="AMP.dtype=float32"):
        check_precision(AmpSection(dtype=dtype), "cpu")


def test_a_growing_scale_changes_no_update(
    make_config: Callable[..., Config],
    remains: Callable[[Config], dict[str, np.ndarray]],
    assert_equal: Callable[[dict[str, np.ndarray], dict[str, np.ndarray]], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Powers of two scale float32 without rounding, so a scaled run must end equal to the bit."""
    plain = make_config()
    train(plain)

    class Scaled(Precision):
        def __init__(self, section: AmpSection) -> None:
            super().__init__(section.model_copy(update={"initial_loss_scale": 4.0, "growth_interval": 2}))
            self.dynamic, self.scale = True, 4.0

    monkeypatch.setattr("ppernie.engine.trainer.Precision", Scaled)
    scaled = make_config(**{"Global.output_dir": str(tmp_path / "scaled")})
    train(scaled)
    assert_equal(remains(plain), remains(scaled))
