"""The command that makes a lexicon."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from ppernie.cli import lexicon as command
from ppernie.data.corpus.lexicon import open_lexicon
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError


@pytest.fixture
def run(letters: ErnieTokenizer, make_corpus: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the command on a corpus in memory; its arguments follow the corpus's."""
    corpus = make_corpus([[[5, 6, 7, 8]] * 20, [[7, 5, 6]] * 9])
    corpus.tokenizer = lambda: letters
    monkeypatch.setattr("ppernie.data.corpus.open_corpus", lambda path: corpus, raising=False)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return lambda *arguments: command.run(parser.parse_args(["corpus", *map(str, arguments)]))


def test_it_writes_and_shows(run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lexicon"
    assert run(path, "--top", 2, 1) == 0
    assert [table.tolist() for table in open_lexicon(path).ngrams] == [[[5, 6], [7, 8]], [[6, 7, 8]]]
    shown = capsys.readouterr().out
    assert "a b, c d" in shown
    assert f"{path}: 3 n-grams" in shown


def test_a_negative_number_of_ngrams_is_refused(run: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--top -1: a number of n-grams is 0 or more"):
        run(tmp_path / "lexicon", "--top", -1)
