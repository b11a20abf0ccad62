from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.config.sections import Config
from ppernie.engine.assemble import assemble
from ppernie.engine.train import train
from ppernie.errors import UserError


@pytest.fixture
def other(vocabulary: list[str], tmp_path: Path) -> dict[str, Any]:
    """Changes that give the student another vocabulary: the same tokens in another order, and one more."""
    tokens = [*vocabulary[:5], *reversed(vocabulary[5:]), "京城"]
    (tmp_path / "other.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    return {"Data.tokenizer": {"vocab_file": str(tmp_path / "other.txt")}, "Arch.vocab_size": len(tokens)}


def test_whole_texts_are_compared_across_vocabularies(
    distil: Callable[..., Config], other: dict[str, Any], records: Any
) -> None:
    config = distil({"sentence": {}, "soft": {}, "hard": {}}, **other)
    train(config)
    lines = records(config)
    assert lines[-1]["soft"] < lines[0]["soft"] and lines[0]["sentence"] > 0


def test_the_teacher_reads_its_own_ids(distil: Callable[..., Config], other: dict[str, Any]) -> None:
    own, foreign = (assemble(distil({"soft": {}}, **changes)) for changes in ({}, other))
    encoded = [parts.task.collate([parts.task.encode(parts.train[0], (0, 0, 0))]) for parts in (own, foreign)]
    assert (encoded[1]["teacher_input_ids"] == encoded[0]["input_ids"]).all()
    assert (encoded[1]["input_ids"] != encoded[0]["input_ids"]).any()


def test_tokens_are_not(distil: Callable[..., Config], other: dict[str, Any], texts: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="so hidden, relation cannot compare their tokens; take sentence, soft"):
        assemble(distil({"hidden": {}, "relation": {}, "soft": {}}, **other))
    with pytest.raises(UserError, match="this task is not one over whole texts; choose a teacher"):
        assemble(distil({"sentence": {}}, **{**other, **texts}))
