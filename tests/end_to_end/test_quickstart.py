"""The quickstart from end to end, with a handful of steps: its tables, and that calling it again goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppernie.cli.main import main

pytestmark = pytest.mark.slow


def test_quickstart(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "quickstart",
        "-c",
        str(repository / "configs/ernie3/quickstart.yaml"),
        "-o",
        f"Global.output_dir={tmp_path / 'run'}",
        f"Data.tokenizer.vocab_file={tmp_path / 'data' / 'vocab.txt'}",
        "Train.max_steps=3",
        "Data.eval.limit=200",
        "Data.test.limit=200",
    ]
    assert main(arguments) == 0
    output = capsys.readouterr().out
    for heading in ("majority", "linear SVM", "nano encoder", "fp32", "雄安新区", "held-out words"):
        assert heading in output
    weights = (tmp_path / "run/best_model/model.safetensors").read_bytes()
    assert main(arguments) == 0
    assert (tmp_path / "run/best_model/model.safetensors").read_bytes() == weights
