"""The ranges that PaddleSlim's observers choose, against NumPy."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ppernie.errors import UserError
from ppernie.slim.quantization.observers import input_range
from ppernie.slim.quantization.settings import Observer


@pytest.fixture(scope="module")
def magnitudes() -> np.ndarray:
    """Of a bell curve, with a few outliers."""
    rng = np.random.default_rng(0)
    return np.abs(np.append(rng.normal(0, 1, 20_000), [9.0, 10.0])).astype(np.float32)


def losses(magnitudes: np.ndarray, observer: str) -> dict[float, float]:
    """The loss of each range that is tried, 0.3 to 1 times the largest magnitude."""
    found = {}
    for largest in magnitudes.max() * (0.3 + 0.02 * np.arange(36)):
        rounded = np.clip(np.rint(magnitudes / largest * 127), -128, 127) / 127 * largest
        moments = abs(magnitudes.mean() - rounded.mean()) + abs(magnitudes.std() - rounded.std())
        found[float(largest)] = float(np.square(magnitudes - rounded).mean() if observer == "mse" else moments)
    return found


def test_absmax_is_the_largest(magnitudes: np.ndarray) -> None:
    assert input_range("absmax", magnitudes) == 10.0


def test_histogram_is_a_percentile(magnitudes: np.ndarray) -> None:
    assert input_range("histogram", magnitudes) == pytest.approx(np.quantile(magnitudes, 0.999), abs=10 / 2048)


@pytest.mark.parametrize("observer", ["mse", "emd"])
def test_the_range_with_the_least_loss_is_taken(magnitudes: np.ndarray, observer: Observer) -> None:
    found = losses(magnitudes, observer)
    chosen = input_range(observer, magnitudes)
    assert min(found, key=lambda largest: abs(largest - chosen)) == pytest.approx(chosen, rel=1e-5)
    loss = found[min(found, key=lambda largest: abs(largest - chosen))]
    assert loss == pytest.approx(min(found.values()), rel=1e-2)
    assert chosen < 10.0


def divergence(histogram: np.ndarray, bins: int) -> float:
    """Of the numbers in the first bins, the others cut to the last of these, and of what 127 steps make of them."""
    kept = histogram[:bins].copy()
    kept[-1] += histogram[bins:].sum()
    groups = np.minimum(np.arange(bins) // (bins // 127), 126)
    filled = np.bincount(groups, kept > 0)[groups]
    rounded = np.where(kept > 0, np.bincount(groups, histogram[:bins])[groups] / np.maximum(filled, 1), 0)
    p, q = kept[kept > 0] / kept.sum(), rounded[kept > 0] / rounded.sum()
    return float((p * np.log(p / q)).sum())


def test_the_range_with_the_least_divergence_is_taken() -> None:
    magnitudes = np.random.default_rng(1).exponential(1.0, 200_000).astype(np.float32)
    histogram, edges = np.histogram(magnitudes, 2048)
    candidates = [bins for bins in range(1023, 2048) if histogram[bins - 1]]
    best = min(candidates, key=lambda bins: divergence(histogram.astype(float), bins))
    width = edges[1] - edges[0]
    assert input_range("kl", magnitudes) == pytest.approx((best + 0.5) * width, abs=0.1 * width)


def test_numbers_that_are_all_the_same_have_a_range() -> None:
    assert input_range("histogram", np.full(100, 0.5, np.float32)) == 0.5


def test_the_package_that_is_missing_is_named(magnitudes: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paddleslim.quant.observers", None)
    with pytest.raises(UserError, match=r"paddleslim, which is not installed: .*\[int8\]"):
        input_range("kl", magnitudes)
