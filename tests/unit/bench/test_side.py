"""A side that ends before its time says how, and what it said last."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ppernie.bench import linear
from ppernie.bench.side import Side
from ppernie.errors import UserError

MODULE = """
import os, sys
from ppernie.bench.side import serve

def answer(line):
    if line == "leave":
        print("no memory is left", file=sys.stderr, flush=True)
        os._exit(7)
    if line == "half":
        sys.stderr.flush()
        os.write(answers, b'{"error"')
        os._exit(0)
    return {"line": line, "pid": os.getpid()}

answers = os.dup(1)
serve(lambda: answer)
"""


@pytest.fixture
def side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Side]:
    (tmp_path / "questions.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    side = Side("questions", [], threads=1)
    assert side.ask("first")["line"] == "first"
    yield side
    side.close()


def test_a_side_that_was_killed_between_two_questions(side: Side) -> None:
    os.kill(side.ask()["pid"], signal.SIGKILL)
    side._process.wait()
    for _ in range(2):
        assert side.ask("second") == {"error": "the process was ended by SIGKILL and said nothing"}


def test_a_side_that_ends_in_an_answer(side: Side) -> None:
    assert side.ask("leave") == {"error": "the process ended with status 7: no memory is left"}


def test_half_an_answer_is_none(side: Side) -> None:
    assert "ended with status 0" in side.ask("half")["error"]


def test_a_benchmark_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(side: Side, line: str) -> dict[str, object]:
        side._process.kill()
        side._process.wait()
        return ask(side, line)

    ask = Side.ask
    monkeypatch.setattr(Side, "ask", kill)
    with pytest.raises(UserError, match="bench linear: the process was ended by SIGKILL"):
        linear.benchmark(32, 16, [1], rounds=1, threads=1)
