"""Texts that the tokenizers are compared on."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Folder of the data -> sentences drawn from it.
SOURCES = {
    "fewclue": 2500,
    "drcd": 1500,
    "cmrc2018": 1000,
    "laws_zh": 800,
    "classical_novels_zh": 1500,
    "chinese_poetry": 800,
    "english_text": 1500,
    "ernie_repo_samples": 2000,
}
SUFFIXES = (".json", ".jsonl", ".txt", ".tsv")


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def file_strings(path: Path) -> Iterator[str]:
    """Strings of a JSON document, of JSON lines, or the lines of a text."""
    text = path.read_text(encoding="utf-8")
    lines = text.split("\n")[:4000]
    if not path.suffix.startswith(".json"):
        return iter(lines)
    try:
        return strings(json.loads(text))
    except json.JSONDecodeError:
        return strings([json.loads(line) for line in lines if line])


@pytest.fixture(scope="session")
def sentences(shared_data: Path) -> list[str]:
    dice = random.Random(0)
    drawn: list[str] = []
    for source, count in SOURCES.items():
        files = [path for path in sorted((shared_data / source).rglob("*.*")) if path.suffix in SUFFIXES]
        found = sorted({text[:400] for path in files for text in file_strings(path) if len(text) > 4})
        drawn += dice.sample(found, min(count, len(found)))
    assert len(drawn) >= 10_000
    return drawn


@pytest.fixture(scope="session")
def hard_lines() -> list[str]:
    """Short texts of every kind of character (see make_golden.py)."""
    golden = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="ascii"))
    return [line["text"] for line in golden["lines"]]
