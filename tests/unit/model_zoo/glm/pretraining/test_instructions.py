"""Instructions: what is kept of long ones, and windows of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from model_zoo.glm.pretraining.blanks import Blanks
from model_zoo.glm.pretraining.instructions import InstructionOptions, Instructions
from ppernie.data.tokenizers import GlmTokenizer
from ppernie.errors import UserError


@pytest.fixture
def make(letters: GlmTokenizer, tmp_path: Path) -> Callable[..., Instructions]:
    """Instructions of rows ``{"question", "answer"}``."""

    def make(
        rows: list[tuple[str, str]], room: int = 64, limit: int = 1000, *, held_out: bool = False, **source: Any
    ) -> Instructions:
        lines = [json.dumps({"question": question, "answer": answer}) for question, answer in rows]
        (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
        source = {"template": "{{question}} ||| {{answer}}"} | source
        options = {"root": str(tmp_path), "limit": limit, "sources": [{"files": "rows.jsonl", **source}]}
        return Instructions(InstructionOptions.model_validate(options), letters, room, held_out=held_out)

    return make


def texts(instructions: Instructions, room: int, letters: GlmTokenizer) -> set[tuple[str, str]]:
    """All samples that can be drawn, as context and labels."""
    found = set()
    for seed in range(60):
        for sample in instructions.samples(200, room, Blanks(letters, 1), np.random.default_rng(seed)):
            assert len(sample.tokens) <= room and sample.tokens[sample.context] == letters.sop_id
            assert sample.tokens[sample.context + 1 :].tolist() == sample.labels[:-1].tolist()
            context, answer = sample.tokens[: sample.context].tolist(), sample.labels.tolist()
            found.add(tuple(letters.decode(ids, skip_special_tokens=False) for ids in (context, answer)))
    return found


def test_samples(make: Any, letters: GlmTokenizer) -> None:
    rows = [("2+2?", "4"), ("Name?", "Bo")]
    assert texts(make(rows), 64, letters) == {("2+2?<mask>", "4<eop>"), ("Name?<mask>", "Bo<eop>")}


def test_what_is_kept_of_long_ones(make: Any, letters: GlmTokenizer, caplog: pytest.LogCaptureFixture) -> None:
    """A room of 16 tokens: the mask, and 15 for prompt and target; of the target 8 where both are long."""
    prompt, target = "abcdefghijklmnopqrst", "ABCDEFGHIJKLMNOPQRST"
    with caplog.at_level(logging.WARNING):
        instructions = make([(prompt, target), (prompt, "ABC"), ("abc", target), ("abc", "ABC")], 16)
    assert texts(instructions, 16, letters) == {
        ("nopqrst<mask>", "ABCDEFGH"),
        ("jklmnopqrst<mask>", "ABC<eop>"),
        ("abc<mask>", "ABCDEFGHIJKL"),
        ("abc<mask>", "ABC<eop>"),
    }
    assert "2 instructions lose the beginning of their prompt and 2 the end of their target" in caplog.text
    assert "a sample has 16 tokens" in caplog.text


def test_a_window_takes_as_many_as_fit(make: Any, letters: GlmTokenizer) -> None:
    rng = np.random.default_rng(0)
    instructions = make([("q" * int(rng.integers(1, 30)), "a" * int(rng.integers(1, 30))) for _ in range(50)])
    padding = []
    for seed in range(200):
        samples = instructions.samples(256, 64, Blanks(letters, 1), np.random.default_rng(seed))
        padding.append(256 - sum(len(sample.tokens) for sample in samples))
    assert min(padding) >= 0 and max(padding) < 64 and np.mean(padding) < 32


def test_the_limit_counts_rows_times_templates(make: Any, tmp_path: Path) -> None:
    entries = {n: {"name": n, "jinja": f"{n} {{{{question}}}} ||| x", "answer_choices": None} for n in "abc"}
    (tmp_path / "t.yaml").write_text(json.dumps({"templates": entries}), encoding="utf-8")
    rows = [(str(number), "x") for number in range(19)]
    assert len(make(rows, template=None, templates="t.yaml")) == 57
    assert len(make(rows, template=None, templates="t.yaml", limit=25)) == 25


def test_evaluation_has_rows_that_training_lacks(make: Any, letters: GlmTokenizer) -> None:
    """A twentieth of the rows, of equal rows all or none; the same however they are ordered."""
    rows = [(f"q{number}", "x") for number in range(100)]
    trained, held_out = (texts(make(rows, held_out=held), 64, letters) for held in (False, True))
    assert (len(trained), len(held_out)) == (95, 5)
    assert trained | held_out == {(f"{question}<mask>", "x<eop>") for question, _ in rows}
    assert texts(make(rows[::-1], held_out=True), 64, letters) == held_out
    twice = [make(rows + rows, held_out=held) for held in (False, True)]
    assert [len(instructions) for instructions in twice] == [190, 10]
    assert not texts(twice[0], 64, letters) & texts(twice[1], 64, letters)
    with pytest.raises(UserError, match=r"held_out: 0.05 of each source's rows is less than one"):
        make(rows[:19], held_out=True)


def test_rows_that_are_left_out(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(make([("a", "b"), ("c", ""), ("", "d")])) == 1
    assert "the template leaves 2 rows out" in caplog.text
    with pytest.raises(UserError, match="no instruction is left of 1 rows and 1 templates"):
        make([("c", "")])


def test_classes_are_numbered(make: Any, letters: GlmTokenizer) -> None:
    source = {"template": "{{question}} ||| {{['no', 'yes'][answer]}}", "classes": {"answer": ["false", "true"]}}
    assert texts(make([("a", "true")], **source), 64, letters) == {("a<mask>", "yes<eop>")}
    with pytest.raises(UserError, match="rows.jsonl:1: answer is 'maybe', which is none of its classes: false, true"):
        make([("a", "maybe")], **source)


def test_a_sample_has_one_target(make: Any) -> None:
    with pytest.raises(UserError, match="rows.jsonl:1: the template makes 2 targets"):
        make([("a", "b")], template="{{question}} ||| b ||| c")


@pytest.mark.parametrize("source", [{}, {"template": "a ||| b", "templates": "c.yaml"}])
def test_a_source_has_one_kind_of_template(source: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="either template or templates"):
        InstructionOptions.model_validate({"sources": [{"files": "a.jsonl", **source}]})


def test_real_data(shared_data: Path, letters: GlmTokenizer) -> None:
    options = InstructionOptions.model_validate(
        {
            "root": str(shared_data),
            "limit": 200,
            "sources": [
                {"files": "gsm8k/train.jsonl", "template": "{{question}} ||| {{answer}}"},
                {
                    "files": "alpaca_seed/seed_tasks.jsonl",
                    "template": "{{instruction}}\n{{instances[0].input}} ||| {{instances[0].output}}",
                },
                {
                    "files": "fewglue_32dev/RTE/train.jsonl",
                    "templates": "promptsource_templates/super_glue/rte/templates.yaml",
                    "classes": {"label": ["entailment", "not_entailment"]},
                },
            ],
        }
    )
    instructions = Instructions(options, letters, 512, held_out=False)
    assert 550 < len(instructions) <= 575
    found = texts(instructions, 200, letters)
    assert {labels for _, labels in found} >= {"Yes<eop>", "No<eop>"}
    assert any("=" in labels and "<<" in labels for _, labels in found)


def test_the_files_that_options_name() -> None:
    """By which an experiment knows that they changed."""
    from model_zoo.glm.pretraining.options import Options

    sources = [{"files": "a.json", "template": "x ||| y"}, {"files": ["b.json", "/c.json"], "templates": "t.yaml"}]
    options = Options.model_validate({"instructions": {"root": "r", "sources": sources}})
    assert options.reads() == ["r/a.json", "r/b.json", "/c.json", "r/t.yaml"]
    assert Options().reads() == []
