"""The benchmark of building batches, at a small size; how fast things are is no matter of tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ppernie.bench.batches_side import _building, _training, _updates
from ppernie.cli.main import main
from ppernie.engine.assemble import assemble
from ppernie.engine.batches import training_batches
from ppernie.parallel.ranks import Alone
from ppernie.parallel.topology import resolve, world


def test_both_rates_and_their_ratio(
    run_values: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(run_values, ensure_ascii=False), encoding="utf-8")
    command = ["bench", "batches", "-c", str(config), "-o", "Train.batch_size=2", "--workers", "1", "--threads", "1"]
    assert main([*command, "--batches", "3", "--steps", "2", "--rounds", "1"]) == 0
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in table[2:]] == ["building, 0 workers", "building, 1 workers", "training"]
    rates = [float(row[1]) for row in table[2:]]
    assert [float(row[2]) for row in table[2:]] == pytest.approx(
        [rate / rates[2] for rate in rates], rel=0.02, abs=0.01
    )
    assert main([*command, "-o", "Data.root=nowhere"]) == 2
    assert "bench batches: building, 0 workers: UserError: " in capsys.readouterr().err


def test_a_turn_counts_its_tokens(make_config: Any) -> None:
    config = make_config(**{"Train.accumulate_steps": 3})
    parts, ranks = assemble(config), Alone(resolve(config.Distributed, world()))
    built = training_batches(config, parts, ranks.topology)
    counts = [counts.tokens for _, counts in built.iterate(0)]
    assert _building(built, 4)()[0] == sum(counts[:4])
    # The last update of an epoch takes what is left.
    updates = _updates(built, 3)
    assert [len(next(updates)) for _ in range(5)] == [3, 3, 3, 1, 3]
    assert _training(config, parts, built, ranks, 2)()[0] == sum(counts[:6])
