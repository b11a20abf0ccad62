"""Finding files and decoding their lines; every trap of a file system ends in a UserError."""

import codecs
import glob
import os
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO

from ppernie.errors import UserError

#: "file:line" for messages, and the row's columns.
Row = tuple[str, dict[str, Any]]


def resolve(files: str | Sequence[str], root: str | None) -> list[Path]:
    """Paths of `files` (names or glob patterns, relative to `root`), each pattern's matches sorted."""
    names = [files] if isinstance(files, str) else files
    paths = [path for name in names for path in _expand(Path(root or "").expanduser() / Path(name).expanduser())]
    for path in paths:
        if path.is_dir():
            raise UserError(f"{path}: is a folder; name its files, for example {path}/*.jsonl")
        if not path.exists():
            raise UserError(_missing(path))
        if path.stat().st_size == 0:
            raise UserError(f"{path}: is empty")
    return paths


def _expand(path: Path) -> list[Path]:
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    matches = sorted(glob.glob(str(path), recursive=True))
    if not matches:
        raise UserError(f"{path}: no file matches this pattern")
    return [Path(match) for match in matches]


def _missing(path: Path) -> str:
    folder, name = path.parent, path.name
    while not folder.exists():
        folder, name = folder.parent, folder.name
    present = sorted(os.listdir(folder)) if folder.is_dir() else []
    near = get_close_matches(name, present, n=1)
    if near:
        return f"{path}: no such file; did you mean {folder / near[0]}?"
    return f"{path}: no such file; {folder} holds {', '.join(present[:8]) or 'nothing'}"


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers from 1, and lines without their ends; a BOM and CRLF are accepted.

    Only line feeds separate lines: U+2028, U+0085 and the like occur inside crawled texts.
    """
    with _open(path) as file:
        for number, raw in enumerate(file, 1):
            if number == 1:
                raw = raw.removeprefix(codecs.BOM_UTF8)
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                # Counted back from the line's end: right with and without a BOM.
                raise UserError(_not_utf8(path, number, file.tell() - len(raw) + error.start)) from None
            yield number, line.rstrip("\r\n")


def read_document(path: Path) -> str:
    """The whole text of a file."""
    with _open(path) as file:
        raw = file.read()
    content = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        offset = len(raw) - len(content) + error.start
        raise UserError(_not_utf8(path, raw.count(b"\n", 0, offset) + 1, offset)) from None


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _not_utf8(path: Path, line: int, offset: int) -> str:
    return f"{path}:{line}: byte {offset} of the file is not UTF-8; convert the file to UTF-8 first"
