"""What a training run has left in its output folder, as numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ppernie.errors import UserError


class History(NamedTuple):
    """A run over its course.

    Attributes:
        steps: of each log line, beginning with 0.
        seconds: of training until there: reading and updates, without start-up, evaluations and saving; [lines].
        tokens: without padding, until there; [lines].
        evaluations: step and metrics of each.
    """

    steps: np.ndarray
    seconds: np.ndarray
    tokens: np.ndarray
    evaluations: list[dict[str, float]]

    def at(self, x: str, steps: np.ndarray) -> np.ndarray:
        """``x`` (steps, seconds or tokens) at some steps, linear between log lines."""
        return np.interp(steps, self.steps, getattr(self, x))


class Points(NamedTuple):
    """A metric over the evaluations of a run, or of several; three arrays of equal length."""

    steps: np.ndarray
    x: np.ndarray
    values: np.ndarray


def read_results(folder: Path) -> dict[str, Any]:
    """The run's ``train_results.json``. Raises UserError where it is absent or broken."""
    return _parsed(folder / "train_results.json")[0]


def read_metric(folder: Path, name: str | None) -> float:
    """A metric of the best model, of the test set as ``test.NAME``; None is the metric that picked it.

    Raises:
        UserError: the run has no such metric.
    """
    results = read_results(folder)
    name = name or results["metric"]
    known = {key: value for key, value in results.items() if isinstance(value, float)}
    known |= {f"test.{key}": value for key, value in results.get("test", {}).items()}
    if name not in known:
        raise UserError(f"{folder}: has no metric '{name}'; it has {', '.join(known)}")
    return known[name]


def read_history(folder: Path) -> History:
    """The run's ``train_log.jsonl``. Raises UserError where it is absent or broken."""
    records = _parsed(folder / "train_log.jsonl")
    training = [record for record in records if record["mode"] == "train"]
    steps = np.array([0, *(record["step"] for record in training)])
    seconds = np.diff(steps) * [record["batch_cost"] for record in training]
    tokens = seconds * [record["tokens_per_second"] for record in training]
    evaluations = [
        {key: value for key, value in record.items() if key != "mode"} for record in records if record["mode"] == "eval"
    ]
    return History(steps, _running(seconds), _running(tokens), evaluations)


def read_points(folder: Path, metric: str | None, x: str) -> Points:
    """The metric over the run's evaluations; None is the metric that picked its best model.

    Raises:
        UserError: the run was not evaluated on it.
    """
    name = metric or read_results(folder)["metric"]
    history = read_history(folder)
    found = [record for record in history.evaluations if name in record]
    if not found:
        raise UserError(f"{folder}: has no evaluation of '{name}'")
    steps = np.array([record["step"] for record in found])
    return Points(steps, history.at(x, steps), np.array([record[name] for record in found]))


def _parsed(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSON Lines file, or the one value of another."""
    try:
        text = path.read_text(encoding="utf-8")
        return [json.loads(part) for part in (text.splitlines() if path.suffix == ".jsonl" else [text])]
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); remove {path.parent} and run the experiment again"
        ) from error


def _running(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(values)])
