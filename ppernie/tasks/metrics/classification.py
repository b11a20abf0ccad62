"""Scores of single-label classification."""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike


class ClassificationScore:
    """Accuracy, macro and micro F1, and Matthews' correlation of class indices.

    Macro F1 is the mean over the classes that occur in predictions or references; micro F1 equals accuracy,
    as each example has one label. Matthews' correlation is multi-class (Gorodkin 2004), 0 where undefined.
    """

    def __init__(self) -> None:
        self._predictions: list[np.ndarray] = []
        self._references: list[np.ndarray] = []

    def update(self, predictions: ArrayLike, references: ArrayLike) -> None:
        """Add a batch: class indices, integers [batch]."""
        predicted, actual = np.asarray(predictions, np.int64), np.asarray(references, np.int64)
        if predicted.ndim != 1 or predicted.shape != actual.shape:
            raise ValueError(f"predictions {predicted.shape} and references {actual.shape} must be [batch]")
        self._predictions.append(predicted)
        self._references.append(actual)

    def compute(self) -> dict[str, float]:
        """accuracy, macro_f1, micro_f1 and mcc; all 0 if nothing was added."""
        predicted = np.concatenate([*self._predictions, np.zeros(0, np.int64)])
        actual = np.concatenate([*self._references, np.zeros(0, np.int64)])
        total = len(actual)
        if total == 0:
            return {"accuracy": 0.0, "macro_f1": 0.0, "micro_f1": 0.0, "mcc": 0.0}
        classes = int(max(predicted.max(), actual.max())) + 1
        hits = np.bincount(actual[predicted == actual], minlength=classes)
        predicted_counts = np.bincount(predicted, minlength=classes)
        actual_counts = np.bincount(actual, minlength=classes)
        occurring = (predicted_counts + actual_counts) > 0
        f1 = 2 * hits[occurring] / (predicted_counts + actual_counts)[occurring]
        accuracy = float(hits.sum() / total)
        return {
            "accuracy": accuracy,
            "macro_f1": float(f1.mean()),
            "micro_f1": accuracy,
            "mcc": _matthews(hits.sum() / total, predicted_counts / total, actual_counts / total),
        }


def _matthews(accuracy: float, predicted: np.ndarray, actual: np.ndarray) -> float:
    """Covariance of predictions and references over the root of their variances, from class shares."""
    predicted_variance, actual_variance = 1 - predicted @ predicted, 1 - actual @ actual
    if predicted.max() == 1 or actual.max() == 1:
        return 0.0
    return float((accuracy - predicted @ actual) / sqrt(predicted_variance * actual_variance))
