"""The benchmarks print their tables; how fast things are is no matter of tests."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from ppernie.cli.main import main
from ppernie.data.corpus.settings import load_corpus_config
from ppernie.errors import UserError

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


def test_pretraining_windows_are_full_and_in_order(shared_data: Path, tmp_path: Path) -> None:
    from ppernie.bench.pretrain_side import BATCH, LENGTH, windows

    text = tmp_path / "text.txt"
    novel = (shared_data / "classical_novels_zh" / "红楼梦.txt").read_text(encoding="utf-8")[:5000]
    text.write_text(novel, encoding="utf-8")
    task, items = windows(str(text), str(shared_data / "vocab" / "ernie3.0_base_zh_vocab.txt"))
    whole = task.tokenizer.encode(novel).ids[1:-1]
    read = [token for item in items for token in task.encoding(item).ids[1:-1]]
    assert {len(task.encoding(item)) for item in items} == {LENGTH}
    assert read == whole[: len(read)] and len(whole) - len(read) < LENGTH - 2
    text.write_text(novel[:1000], encoding="utf-8")
    with pytest.raises(UserError, match=f"fills 7 inputs of {LENGTH} tokens, and a step takes {BATCH}"):
        windows(str(text), str(shared_data / "vocab" / "ernie3.0_base_zh_vocab.txt"))


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


@pytest.fixture
def small_corpus(shared_data: Path, tmp_path: Path) -> list[str]:
    """Arguments of a small corpus of a novel in part and of laws."""
    novel = (shared_data / "classical_novels_zh" / "老残游记.txt").read_text(encoding="utf-8")
    (tmp_path / "novel.txt").write_text(novel[:60_000], encoding="utf-8")
    with (shared_data / "laws_zh" / "laws.jsonl").open(encoding="utf-8") as laws:
        (tmp_path / "laws.jsonl").write_text("".join(islice(laws, 10)), encoding="utf-8")
    values = {
        "output": str(tmp_path / "corpus"),
        "root": str(tmp_path),
        "tokenizer": {"vocab_file": str(shared_data / "vocab" / "ernie3.0_base_zh_vocab.txt")},
        "sources": [
            {"name": "novel", "files": "novel.txt", "documents": "file"},
            {"name": "laws", "files": "laws.jsonl", "format": "jsonl", "cleaning": {"min_words": 2}},
        ],
    }
    (tmp_path / "corpus.yaml").write_text(json.dumps(values), encoding="utf-8")
    return ["-c", str(tmp_path / "corpus.yaml")]


def test_preprocess(small_corpus: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("paddlenlp")
    assert main(["bench", "preprocess", *small_corpus]) == 0
    assert {"ppernie", "PaddleNLP's ingredients"} <= {row[0].split(",")[0] for row in rows(capsys)}
    assert not (tmp_path / "corpus").exists()


def test_what_preprocessing_measures(small_corpus: list[str]) -> None:
    from ppernie.bench.preprocess import _repeated
    from ppernie.bench.preprocess_side import first_lines

    config = load_corpus_config(small_corpus[1])
    lines = first_lines(config, 8_000)
    novel = Path(config.root or "", "novel.txt").read_text(encoding="utf-8").splitlines()
    taken = [line.strip() for line in novel if line.strip()]
    count = next(number for number, line in enumerate(lines) if line not in taken)
    assert lines[:count] == taken[:count]
    assert 8_000 <= len("".join(lines).encode()) < 16_000
    assert sum(len(line.encode()) for line in lines[count:]) >= 4_000
    more = _repeated(config, 3)
    assert [source.files for source in more.sources] == 3 * ["novel.txt", "laws.jsonl"]
    assert len({source.name for source in more.sources}) == 6
    kept = [source.cleaning for source in more.sources if source.cleaning is not None]
    assert {cleaning.deduplicate for cleaning in kept} == {False} and len(kept) == 6
    assert [cleaning.min_words for cleaning in kept] == 3 * [10, 2]


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
    ratio = {side[2]: side[header.index("to OpenVINO fp32")] for side in sides}
    assert float(ratio["OpenVINO INT8"]) > 0 and ratio["OpenVINO fp32"] == ""
