"""What ``ppernie bench`` refuses before it measures anything."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ppernie.cli.main import main


@pytest.fixture(autouse=True)
def no_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may begin to measure."""

    def start(*arguments: object, **options: object) -> None:
        raise AssertionError(f"{arguments} was started")

    monkeypatch.setattr(subprocess, "Popen", start)


@pytest.mark.parametrize(
    "command",
    [
        "train --rounds 0",
        "infer --batches 1 0",
        "load --rounds 0",
        "generate --threads 0",
        "checkpoint --rounds 0",
        "linear --rounds 0",
        "batches -c config.yaml --steps 0",
        "streaming --layers 0",
        "shards --ranks 0",
        "weight_only -c config.yaml --model folder --group-size 1",
    ],
)
def test_numbers_that_count_nothing(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["bench", *command.split()])
    assert exit_.value.code == 2
    assert f"argument {command.split()[-2] if '1 0' not in command else '--batches'}: " in capsys.readouterr().err


@pytest.mark.parametrize("bench", ["checkpoint", "shards", "streaming"])
def test_a_folder_that_is_none(bench: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "absent", tmp_path / "file"):
        assert main(["bench", bench, "--folder", str(folder)]) == 2
        assert f"--folder {folder}: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("bench", ["shards", "streaming"])
@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ("--hidden 64 --heads 5", "hidden_size"),
        ("--hidden 6 --heads 2", "turned in pairs"),
        ("--hidden 64 --heads 4 --inner 5", "two to a byte"),
    ],
)
def test_sizes_of_no_network(
    bench: str, sizes: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", bench, "--folder", str(tmp_path), *sizes.split()]) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1
