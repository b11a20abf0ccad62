"""Scores of tasks, in fractions from 0 to 1 (correlations from -1), with numpy alone."""

from ppernie.tasks.metrics.classification import ClassificationScore
from ppernie.tasks.metrics.entities import EntityScore, entities_of
from ppernie.tasks.metrics.regression import RegressionScore
from ppernie.tasks.metrics.spans import SpanScore

__all__ = ["ClassificationScore", "EntityScore", "RegressionScore", "SpanScore", "entities_of"]
