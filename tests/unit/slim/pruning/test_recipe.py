"""All pruning steps as one recipe, by the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ppernie.cli.main import main
from ppernie.engine.train import train
from ppernie.slim.recipe import compress
from ppernie.zoo.folder import load_model


def test_a_recipe_of_all_steps(
    make_config: Any, run_values: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(make_config(**{"Train.max_steps": 2}))
    recipe = {
        "vocabulary": {"max_size": 60, "max_length": 16},
        "layers": {"keep": 1},
        "width": {"widths": [0.5], "hard": {}},
        "sparsity": {"target": 0.5, "every": 1},
        "gate": None,
        "latency": None,
    }
    short = {**run_values["Train"], "epochs": 1, "max_steps": 3}
    values = run_values | {"Train": short, "Slim": recipe}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    command = ["compress", "-c", str(tmp_path / "run.yaml")]
    assert main(command) == 0
    assert "| sparsity" in capsys.readouterr().out
    _, task, description = load_model(tmp_path / "run" / "compressed" / "model")
    sizes = ("vocab_size", "max_position_embeddings", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    assert [description.arch[name] for name in sizes] == [60, 16, 1, 1, 16]
    assert task.tokenizer.vocab_size == 60
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "北京"}\n', encoding="utf-8")
    compressed = str(tmp_path / "run" / "compressed" / "model")
    assert main(["predict", "--model", compressed, "--input", str(rows)]) == 0
    assert "label" in capsys.readouterr().out
    exported = ["export_model", "-c", str(tmp_path / "run.yaml"), "--model", compressed]
    assert main([*exported, "--output", str(tmp_path / "exported")]) == 0
    assert main(["predict", "--model", str(tmp_path / "exported"), "--input", str(rows)]) == 0
    assert main(command) == 0
    assert "Slim.sparsity has ended" in capsys.readouterr().out


def test_latency_is_that_of_inputs_which_every_step_reads(make_config: Any, tmp_path: Path) -> None:
    train(make_config(**{"Train.max_steps": 2}))
    recipe = {
        "vocabulary": {"max_size": 60, "max_length": 8},
        "gate": None,
        "latency": {"batches": [2], "rounds": 1},
    }
    config = make_config(**{"Data.max_length": 8, "Slim": recipe})
    table = compress(tmp_path / "run" / "best_model", tmp_path / "out", config)
    assert "ms at 2 x 8 " in table
