"""Files to paragraphs, in pieces that are small however large a file, a line or a document is."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ppernie.data.corpus.settings import TextSource
from ppernie.data.percentile import percentile
from ppernie.data.readers.files import resolve
from ppernie.errors import UserError

PIECE_BYTES = 2**20
# A JSON object is held whole, so it has a limit; plain text has none.
MAX_OBJECT_BYTES = 64 * 2**20
HEAD_BYTES = 2**20


@dataclass(frozen=True)
class Part:
    """Whole documents: the bytes [start, stop) of a file."""

    source: int
    path: str
    start: int
    stop: int


class Paragraph(NamedTuple):
    """Some text of a document; ``document`` counts from 0 within the part."""

    document: int
    title: str | None
    text: str


def split_parts(index: int, source: TextSource, root: str | None, block_bytes: int) -> Iterator[Part]:
    """The files of a source cut between documents, about ``block_bytes`` each.

    Raises:
        UserError: a file is absent or empty, or its beginning is not what the source says.
    """
    for path in resolve(source.files, root):
        _check_head(path, source)
        size, start = path.stat().st_size, 0
        if source.format == "text" and source.documents == "file":
            yield Part(index, str(path), 0, size)
            continue
        with _open(path) as file:
            while start < size:
                stop = _next_border(file, start + block_bytes, source) if start + block_bytes < size else size
                yield Part(index, str(path), start, stop)
                start = stop


def _check_head(path: Path, source: TextSource) -> None:
    """Most mistakes show here, before hours are spent."""
    with _open(path) as file:
        head = file.read(HEAD_BYTES)
    _decode(codecs.getincrementaldecoder("utf-8")(), head, False, path, 0)
    if source.format == "jsonl":
        next(_read_objects(Part(0, str(path), 0, path.stat().st_size), source), None)


def _next_border(file: BinaryIO, place: int, source: TextSource) -> int:
    """The first byte after a blank line, or in JSON lines after any line, at or behind the place."""
    file.seek(place)
    at_start = False
    while piece := file.readline(PIECE_BYTES):
        is_blank = at_start and not piece.strip()
        at_start = piece.endswith(b"\n")
        if is_blank or (source.format == "jsonl" and at_start):
            break
    return file.tell()


def read_part(part: Part, source: TextSource) -> Iterator[Paragraph]:
    """The paragraphs of a part, document by document.

    Raises:
        UserError: naming file and byte, where the text is not UTF-8 or the JSON is not as the source says.
    """
    return _read_objects(part, source) if source.format == "jsonl" else _read_text(part, source)


def _read_text(part: Part, source: TextSource) -> Iterator[Paragraph]:
    document, empty = 0, True
    for paragraph in _joined(_lines(part)) if source.wrapped else _lines(part):
        if paragraph.strip():
            yield Paragraph(document, None, paragraph)
            empty = False
        elif not empty and source.documents == "blank_line":
            document, empty = document + 1, True


def _joined(lines: Iterator[str]) -> Iterator[str]:
    """Lines that follow on each other as one, up to ``PIECE_BYTES`` characters; blank lines as they are."""
    held: list[str] = []
    size = 0
    for line in lines:
        if not line.strip() or size > PIECE_BYTES:
            yield " ".join(held)
            held, size = [], 0
        if line.strip():
            held.append(line)
            size += len(line)
        else:
            yield line
    yield " ".join(held)


def _lines(part: Part) -> Iterator[str]:
    """Lines without their ends; one longer than ``PIECE_BYTES`` comes in several."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    place, at_start = part.start, True
    with _open(Path(part.path)) as file:
        file.seek(place)
        while place < part.stop and (piece := file.readline(min(PIECE_BYTES, part.stop - place))):
            raw = piece.removeprefix(codecs.BOM_UTF8) if place == 0 else piece
            place += len(piece)
            line = _decode(decoder, raw, place == part.stop, Path(part.path), place - len(raw)).rstrip("\r\n")
            # The line end alone, behind a piece, is no blank line.
            if line or at_start:
                yield line
            at_start = piece.endswith(b"\n")


def _decode(decoder: codecs.IncrementalDecoder, raw: bytes, final: bool, path: Path, place: int) -> str:
    place -= len(decoder.getstate()[0])  # bytes of a character whose end is to come
    try:
        return decoder.decode(raw, final)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: byte {place + error.start:,} of the file is not UTF-8; convert the file to UTF-8 first"
        ) from None


def _read_objects(part: Part, source: TextSource) -> Iterator[Paragraph]:
    fields = [source.text] if isinstance(source.text, str) else source.text
    path, document = Path(part.path), 0
    first, last = source.percent or (0, 100)
    with _open(path) as file:
        file.seek(part.start)
        while (place := file.tell()) < part.stop and (raw := file.readline(MAX_OBJECT_BYTES + 1)):
            where = f"{path}, byte {place:,}"
            if len(raw) > MAX_OBJECT_BYTES:
                raise UserError(
                    f"{where}: a line of more than {MAX_OBJECT_BYTES >> 20} MiB, which JSON needs whole in memory; "
                    "store such a document as plain text"
                )
            raw = raw.removeprefix(codecs.BOM_UTF8) if place == 0 else raw
            if not raw.strip() or not first <= percentile(raw.rstrip(b"\r\n")) < last:
                continue
            row = _parse(raw, where)
            named = None if source.title is None else _field(row, source.title, where)
            title = None if named is None else str(named)
            texts = [text for field in fields for text in _texts(_field(row, field, where), field, where)]
            for text in texts or [""]:
                for start in range(0, len(text) or 1, PIECE_BYTES):
                    yield Paragraph(document, title, text[start : start + PIECE_BYTES])
            document += 1


def _parse(raw: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not a line of JSON in UTF-8 ({error}); correct or remove it") from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: a JSON object is expected, not {str(row)[:40]}")
    return row


def _field(row: dict[str, Any], name: str, where: str) -> Any:
    if name not in row:
        raise UserError(
            f"{where}: there is no field {name!r}; it has {', '.join(row)}; set text and title of the source"
        )
    return row[name]


def _texts(value: Any, field: str, where: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in values):
        raise UserError(f"{where}: {field} must be a text or a list of texts, not {str(value)[:40]!r}")
    return [line for item in values for line in item.split("\n")]


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; make it readable, or leave it out") from None
