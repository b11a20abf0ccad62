"""Means, spreads, paired differences and times, against NumPy and by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ppernie.errors import UserError
from ppernie.experiments.records import Points, read_history, read_metric, read_points, read_results
from ppernie.experiments.report import cell
from ppernie.experiments.statistics import Spread, differences, mean_points, spread, target_of, time_to


def test_spread_is_numpys() -> None:
    values = np.random.default_rng(0).normal(3, 2, 5)
    found = spread(list(values))
    assert found is not None
    np.testing.assert_allclose([found.mean, found.std], [values.mean(), values.std(ddof=1)])
    assert found.n == 5
    assert spread([2.0]) == Spread(2.0, None, 1)
    assert spread([]) is None


def test_differences_pair_seeds() -> None:
    baseline = {1: 0.5, 2: 0.9, 3: 0.1}
    found = differences({3: 0.2, 1: 0.7, 4: 9.0}, baseline)
    assert found == pytest.approx({1: 0.2, 3: 0.1})
    # All of the spread is between seeds here, and none between variants.
    paired = spread(list(differences({seed: value + 0.25 for seed, value in baseline.items()}, baseline).values()))
    assert paired is not None and paired.std == pytest.approx(0)


def points(steps: list[int], values: list[float]) -> Points:
    return Points(np.array(steps), np.array(steps) * 10.0, np.array(values))


def test_time_to_the_baselines_value() -> None:
    falling = points([1, 2, 3, 4], [3.0, 2.0, 1.0, 1.5])
    assert (target_of(falling, "best", "lower"), target_of(falling, "final", "lower")) == (1.0, 1.5)
    assert target_of(falling, "best", "higher") == 3.0
    assert time_to(falling, 1.5, "lower") == 30.0
    assert time_to(falling, 0.9, "lower") is None
    assert time_to(falling, 2.0, "higher") == 10.0


def test_the_mean_of_runs_is_over_the_steps_that_all_have() -> None:
    found = mean_points([points([2, 4, 6], [1, 2, 3]), points([4, 6, 8], [4, 6, 8])])
    assert found.steps.tolist() == [4, 6]
    assert found.values.tolist() == [3, 4.5]


def test_what_a_run_leaves(tmp_path: Path) -> None:
    log = [
        {"mode": "train", "step": 2, "batch_cost": 0.5, "tokens_per_second": 100.0},
        {"mode": "eval", "step": 3, "loss": 4.0},
        {"mode": "train", "step": 4, "batch_cost": 1.0, "tokens_per_second": 50.0},
        {"mode": "event", "kind": "spike", "step": 4, "message": "a jump"},
        {"mode": "train", "step": 5, "batch_cost": 2.0, "tokens_per_second": 10.0},
        {"mode": "eval", "step": 5, "loss": 3.0},
    ]
    (tmp_path / "train_log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in log))
    results = {"steps": 5, "metric": "loss", "best_step": 5, "loss": 3.0, "test": {"accuracy": 0.7}}
    (tmp_path / "train_results.json").write_text(json.dumps(results))
    history = read_history(tmp_path)
    assert history.seconds.tolist() == [0, 1, 3, 5]
    assert history.tokens.tolist() == [0, 100, 200, 220]
    for x, expected in (("steps", [3, 5]), ("seconds", [2, 5]), ("tokens", [150, 220])):
        assert read_points(tmp_path, None, x).x.tolist() == expected
    assert read_points(tmp_path, "loss", "steps").values.tolist() == [4, 3]
    assert (read_metric(tmp_path, None), read_metric(tmp_path, "test.accuracy")) == (3.0, 0.7)
    for name in ("accuracy", "steps"):
        with pytest.raises(UserError, match="it has loss, test.accuracy"):
            read_metric(tmp_path, name)
    with pytest.raises(UserError, match="no evaluation of 'accuracy'"):
        read_points(tmp_path, "accuracy", "steps")
    for name, read in (("train_log.jsonl", read_history), ("train_results.json", read_results)):
        (tmp_path / name).write_text("{")
        with pytest.raises(UserError, match=f"{name}: cannot be read.*run the experiment again"):
            read(tmp_path)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Spread(0.51234, 0.0123, 3), "0.512 ± 0.012"),
        (Spread(123.456, 7.89, 3), "123.5 ± 7.9"),
        (Spread(1234.5, 678.0, 2), "1234 ± 678 (n = 2)"),
        (Spread(0.5, 0.0, 3), "0.5000 ± 0.0000"),
        (Spread(0.51234, None, 1), "0.5123 (n = 1)"),
        (None, "-"),
    ],
)
def test_cells(found: Spread | None, text: str) -> None:
    assert cell(found, 3) == text


def test_differences_show_their_sign() -> None:
    assert cell(Spread(0.02, 0.01, 3), 3, "+") == "+0.020 ± 0.010"
    assert cell(Spread(-0.02, 0.01, 3), 3, "+") == "-0.020 ± 0.010"
