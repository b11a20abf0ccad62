"""``tools/preprocess.py`` as users run it: killed, interrupted, twice at once, and on a document larger than memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.bench.preprocess import peak_mb
from ppernie.data.corpus import open_corpus

LAW = "中华人民共和国公民有言论的自由，第{}条另有规定的除外。"
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path, repository: Path) -> Start:
    """Starts the command on ``a.txt``, in a process group of its own."""
    characters = sorted(set(LAW) | set("0123456789"))
    tokens = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *characters]
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    values: dict[str, Any] = {
        "output": "absent",
        "root": str(tmp_path),
        "tokenizer": {"vocab_file": str(tmp_path / "vocab.txt")},
        "segmenter": "builtins:list",
        "block_mb": 0.02,
        "sources": [{"name": "laws", "files": "a.txt"}],
    }
    (tmp_path / "config.yaml").write_text(json.dumps(values), encoding="utf-8")

    def run(output: str, *arguments: str) -> subprocess.Popen[str]:
        script = str(repository / "tools" / "preprocess.py")
        config = ["-c", str(tmp_path / "config.yaml"), "-o", f"output={tmp_path / output}"]
        return subprocess.Popen(
            [sys.executable, script, *config, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return run


@pytest.fixture
def laws(tmp_path: Path) -> None:
    text = "\n\n".join("".join(LAW.format(10 * n + m) for m in range(10)) for n in range(1500))
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def wait_for_parts(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(list(folder.glob("part_??????/statistics.json"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("laws")
def test_a_build_survives_kills(start: Start, tmp_path: Path) -> None:
    finish(start("whole"))
    unfinished, done = tmp_path / "killed.unfinished", 0
    for workers in (2, 3):
        process = start("killed", "--workers", str(workers))
        wait_for_parts(unfinished, done + 2)
        os.kill(process.pid, signal.SIGKILL)  # the workers have to end by themselves
        process.communicate()
        done = len(list(unfinished.glob("part_??????/statistics.json")))
    made = {path: path.stat().st_mtime_ns for path in unfinished.glob("part_??????/statistics.json")}
    process = start("killed")
    wait_for_parts(unfinished, done + 2)
    assert (
        made.items()
        <= {path: path.stat().st_mtime_ns for path in unfinished.glob("part_??????/statistics.json")}.items()
    )
    assert f"{done} of " in finish(process)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert not unfinished.exists()


@pytest.mark.usefixtures("laws")
def test_an_interrupted_build_says_so_and_a_second_one_is_refused(start: Start, tmp_path: Path) -> None:
    process = start("corpus", "--workers", "2")
    wait_for_parts(tmp_path / "corpus.unfinished", 2)
    os.killpg(process.pid, signal.SIGSTOP)
    second = start("corpus")
    output, _ = second.communicate()
    assert second.returncode == 2
    assert f"another process ({process.pid}) is building this corpus; wait for it" in output
    # As a terminal's Ctrl-C; it waits for stopped processes, so the build cannot end before it.
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGCONT)
    output, _ = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in output and output.strip().endswith("interrupted")
    assert "tokens: " in finish(start("corpus"))
    assert len(open_corpus(tmp_path / "corpus").documents) == 1501


@pytest.mark.slow
def test_a_document_larger_than_memory(tmp_path: Path, start: Start, repository: Path) -> None:
    """One line of 200 MB, within 30 MB above what a line of 20 MB takes."""
    start("unused").kill()
    peaks = []
    for number, megabytes in enumerate((20, 200)):
        with (tmp_path / "a.txt").open("w", encoding="utf-8") as file:
            for n in range(megabytes * 12_500):
                file.write(LAW.format(n))
        command = [str(repository / "tools" / "preprocess.py"), "-c", str(tmp_path / "config.yaml")]
        arguments = ["-o", f"output={tmp_path / str(number)}", "--workers", "1"]
        peaks.append(peak_mb([sys.executable, *command, *arguments]))
        assert len(open_corpus(tmp_path / str(number)).documents) == 2
    assert peaks[1] < peaks[0] + 30
