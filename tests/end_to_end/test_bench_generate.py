"""``ppernie bench generate`` prints its table; how fast things are is no matter of tests."""

from __future__ import annotations

import pytest

from ppernie.cli.main import main


@pytest.mark.slow
def test_all_sides_write_the_same_number_of_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("paddlenlp")
    assert main(["bench", "generate", "--sizes", "2x128", "--rounds", "1"]) == 0
    lines = [line.strip("|").split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    header, _, *sides = ([cell.strip() for cell in line] for line in lines)
    names = ["ppernie GLM", "ppernie GLM-130B", "PaddleNLP GLM", "Hugging Face Llama"]
    assert [side[header.index("side")] for side in sides] == names
    assert all(float(side[header.index("tokens/s")]) > 0 for side in sides if "note" not in header)


def test_a_size_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "generate", "--sizes", "4x100"]) == 2
    assert "multiple of 64, such as 4x256" in capsys.readouterr().err
