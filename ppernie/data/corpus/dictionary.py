"""Words with their frequencies and parts of speech: jieba's, and a user's."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ppernie.data.readers.files import numbered_lines
from ppernie.errors import UserError


class Entry(NamedTuple):
    """A word; ``frequency`` is None where nothing is known of it."""

    word: str
    frequency: int | None
    tag: str


def jieba_entries() -> Iterator[Entry]:
    """The 349,046 words that jieba installs."""
    with warnings.catch_warnings():
        # Importing jieba warns of setuptools' plans.
        warnings.simplefilter("ignore")
        import jieba

    with jieba.get_module_res("dict.txt") as file:
        for line in file.read().decode("utf-8").splitlines():
            word, count, tag = line.split(" ")
            yield Entry(word, int(count), tag)


def lexicon_entries(path: Path) -> list[Entry]:
    """The words of a file in the form of jieba's user dictionaries: word, count and part of speech, the last two free.

    Raises:
        UserError: the file cannot be read, a line is broken, or there is no word.
    """
    entries = [_entry(line, f"{path}:{number}") for number, line in numbered_lines(path) if line.strip()]
    if not entries:
        raise UserError(
            f"{path}: holds no words; write one a line, with a count and a part of speech if they are known"
        )
    return entries


def _entry(line: str, where: str) -> Entry:
    cells = line.split()
    word, rest = cells[0], cells[1:]
    count = int(rest.pop(0)) if rest and rest[0].isdecimal() else None
    if len(rest) > 1 or count == 0:
        raise UserError(f"{where}: expected a word, a count above 0 and a part of speech, got {line.strip()[:60]!r}")
    return Entry(word, count, rest[0] if rest else "")
