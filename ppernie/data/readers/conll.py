"""Tagged sequences: CoNLL blocks and the two one-line layouts of Chinese data sets."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from sys import intern

from ppernie.data.readers.files import Row, numbered_lines
from ppernie.errors import UserError

#: Separates tokens, and tags, in MSRA-NER's files.
STX = "\x02"
#: Lines looked at to tell the layout.
SNIFFED = 1000


def read_conll(path: Path) -> Iterator[Row]:
    """Rows {tokens, tags} of a tagged file, whose layout is told from its first lines.

    `token<sep>tag` lines in blocks between blank lines (the first and the last cell count; separated by tabs
    if the line has one, else by spaces); `tokens<TAB>tags` on one line, each separated by spaces; and
    `[id<TAB>]tokens<TAB>tags`, each separated by the control character 2 (MSRA-NER). Tags may be left out.
    """
    separator = _one_line_separator(line for _, line in islice(numbered_lines(path), SNIFFED))
    return _blocks(path) if separator is None else _one_line(path, separator)


def _one_line_separator(lines: Iterable[str]) -> str | None:
    """What separates the tokens of a one-line layout, None for blocks."""
    for line in lines:
        if STX in line:
            return STX
        if "\t" in line and " " in line.rpartition("\t")[2].strip(" "):
            return " "
    return None


def _one_line(path: Path, separator: str) -> Iterator[Row]:
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        cells = [cell.strip(" ") for cell in line.split("\t")]
        if len(cells) == 1:
            yield where, {"tokens": _split(cells[0], separator)}
        else:
            yield where, _row(where, _split(cells[-2], separator), _split(cells[-1], separator))


def _blocks(path: Path) -> Iterator[Row]:
    start = 0
    tokens: list[str] = []
    tags: list[str] = []
    for number, line in _ended_by_blank(numbered_lines(path)):
        if line.strip():
            start = start or number
            cells = line.split("\t") if "\t" in line else line.split()
            tokens.append(intern(cells[0]))
            tags += map(intern, cells[-1:] if len(cells) > 1 else ())
            if len(tags) not in (0, len(tokens)):
                raise UserError(f"{path}:{number}: some lines of this block have a tag and some have none")
        elif tokens:
            # CoNLL-2003 separates its documents by such a block.
            if tokens != ["-DOCSTART-"]:
                where = f"{path}:{start}"
                yield where, _row(where, tokens, tags) if tags else {"tokens": tokens}
            start, tokens, tags = 0, [], []


def _ended_by_blank(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield from lines
    yield 0, ""


def _row(where: str, tokens: list[str], tags: list[str]) -> dict[str, list[str]]:
    if len(tokens) != len(tags):
        raise UserError(f"{where}: {len(tokens)} tokens but {len(tags)} tags")
    return {"tokens": tokens, "tags": tags}


def _split(cell: str, separator: str) -> list[str]:
    # The same few thousand tokens and tags recur, and are kept once.
    return list(map(intern, cell.split(separator)))
