"""Correlations of predicted numbers with given ones."""

import numpy as np
from numpy.typing import ArrayLike


class RegressionScore:
    """Pearson's and Spearman's correlation; 0 where a side is constant, nan where a number is not finite."""

    def __init__(self) -> None:
        self._predictions: list[np.ndarray] = []
        self._references: list[np.ndarray] = []

    def update(self, predictions: ArrayLike, references: ArrayLike) -> None:
        """Add a batch: numbers [batch]."""
        predicted, actual = np.asarray(predictions, np.float64), np.asarray(references, np.float64)
        if predicted.ndim != 1 or predicted.shape != actual.shape:
            raise ValueError(f"predictions {predicted.shape} and references {actual.shape} must be [batch]")
        self._predictions.append(predicted)
        self._references.append(actual)

    def compute(self) -> dict[str, float]:
        """pearson and spearman; 0 if nothing was added."""
        predicted = np.concatenate([*self._predictions, np.zeros(0)])
        actual = np.concatenate([*self._references, np.zeros(0)])
        if not (np.isfinite(predicted).all() and np.isfinite(actual).all()):
            return {"pearson": float("nan"), "spearman": float("nan")}
        return {
            "pearson": _pearson(predicted, actual),
            "spearman": _pearson(_ranks(predicted), _ranks(actual)),
        }


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    if len(x) == 0 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    # Scaled to unit length first, so that squares of very large or small numbers do not overflow.
    x, y = x / np.abs(x).max(), y / np.abs(y).max()
    return float(np.clip(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)), -1.0, 1.0))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks
