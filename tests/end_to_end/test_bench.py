"""The benchmarks print their tables; how fast things are is no matter of tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppernie.cli.main import main

pytestmark = pytest.mark.slow


def rows(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_train(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("paddlenlp")
    assert main(["bench", "train", "--sizes", "4x312", "--rounds", "2"]) == 0
    header, _, *sides = rows(capsys)
    assert [side[1] for side in sides] == ["ppernie", "PaddleNLP", "Hugging Face"]
    ratio = header.index("time ratio")
    assert float(sides[0][ratio]) > 0 and sides[1][ratio] == "1.00"


def test_pretrain(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("paddlenlp")
    text = str(shared_data / "classical_novels_zh" / "红楼梦.txt")
    vocabulary = str(shared_data / "vocab" / "ernie3.0_base_zh_vocab.txt")
    command = ["bench", "pretrain", "--vocab", vocabulary, "--text", text, "--sizes", "4x312", "--rounds", "2"]
    assert main(command) == 0
    header, _, *sides = rows(capsys)
    assert [side[1] for side in sides] == ["ppernie", "PaddleNLP"]
    assert float(sides[0][header.index("ratio")]) > 0
    assert main([*command[:3], "absent.txt", *command[4:]]) == 2


def test_infer(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("paddlenlp")
    assert main(["bench", "infer", "--sizes", "4x312", "--batches", "1", "--rounds", "2"]) == 0
    header, _, *sides = rows(capsys)
    assert {"PaddleNLP eager", "ONNX Runtime fp32", "ppernie fp32"} <= {side[2] for side in sides}
    difference = {side[2]: side[header.index("difference")] for side in sides}
    assert float(difference["ONNX Runtime fp32"]) < 1e-4


def test_load(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("paddlenlp")
    assert main(["bench", "load", "--sizes", "4x312", "--rounds", "1"]) == 0
    header, _, *sides = rows(capsys)
    assert [side[1] for side in sides][0] == "ppernie" and [side[1] for side in sides][-2:] == [
        "PaddleNLP",
        "Hugging Face",
    ]
    assert all(float(side[header.index("peak / weights")]) < 1.3 for side in sides[:3])


def test_tokenize(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("paddlenlp")
    text = tmp_path / "text.txt"
    novel = (shared_data / "classical_novels_zh" / "红楼梦.txt").read_text(encoding="utf-8")
    text.write_text("\n".join(line for line in novel.splitlines() if line.strip()), encoding="utf-8")
    vocabulary = str(shared_data / "vocab" / "ernie3.0_base_zh_vocab.txt")
    assert main(["bench", "tokenize", "--vocab", vocabulary, "--text", str(text), "--rounds", "1"]) == 0
    assert len(rows(capsys)) > 3


def test_preprocess(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("paddlenlp")
    text = tmp_path / "text.txt"
    novel = (shared_data / "classical_novels_zh" / "老残游记.txt").read_text(encoding="utf-8")
    text.write_text(novel[:60_000], encoding="utf-8")
    vocabulary = str(shared_data / "vocab" / "ernie3.0_base_zh_vocab.txt")
    assert main(["bench", "preprocess", "--vocab", vocabulary, "--text", str(text)]) == 0
    assert {"ppernie", "PaddleNLP's ingredients"} <= {row[0].split(",")[0] for row in rows(capsys)}


def test_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "checkpoint", "--size-mb", "64", "--rounds", "1", "--folder", str(tmp_path)]) == 0
    header, _, *sides = rows(capsys)
    assert [side[0] for side in sides][:2] == ["plain write", "ppernie"]
    assert all(float(side[header.index("save s")]) > 0 for side in sides)
    assert not list(tmp_path.iterdir())


def test_distributed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "distributed", "--steps", "8", "--rounds", "1"]) == 0
    costs, _, ones, plain, bare, stalls, _, stall = rows(capsys)
    assert [side[1] for side in (ones, plain, bare)] == ["Distributed, all ones", "no Distributed", "bare loop"]
    ratio = costs.index("memory ratio")
    assert float(ones[ratio]) == pytest.approx(1, abs=0.05) and float(bare[ratio]) < 1.05
    assert 200 < float(stall[stalls.index("state MB")]) < 220
    assert float(stall[stalls.index("stall / copy")]) > 0


def test_unknown_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "train", "--sizes", "3x3"]) == 2
    assert "4x312" in capsys.readouterr().err


def test_int8(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "int8", "--sizes", "4x312", "--batches", "1", "--rounds", "1"]) == 0
    header, _, *sides = rows(capsys)
    difference = {side[2]: float(side[header.index("difference")]) for side in sides if "INT8" in side[2]}
    assert len(difference) == 3 and all(1e-5 < value < 0.1 for value in difference.values())
