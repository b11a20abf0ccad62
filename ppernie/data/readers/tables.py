"""TSV, CSV and plain text: one line or record, one row."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from ppernie.data.readers.files import Row, numbered_lines
from ppernie.errors import UserError

#: Line number and cells.
Record = tuple[int, list[str]]


def read_tsv(path: Path, columns: list[str] | None, header: bool | None) -> Iterator[Row]:
    """Rows of a tab-separated file; quotes are ordinary characters, blank lines are skipped."""
    records = ((number, line.split("\t")) for number, line in numbered_lines(path) if line)
    return _rows(path, records, columns, header)


def read_csv(path: Path, columns: list[str] | None, header: bool | None) -> Iterator[Row]:
    """Rows of a comma-separated file with double quotes (RFC 4180); a quoted cell may span lines."""
    return _rows(path, _csv_records(path), columns, header)


def read_text(path: Path) -> Iterator[Row]:
    """One row {text} a line; blank lines are skipped."""
    for number, line in numbered_lines(path):
        if line.strip():
            yield f"{path}:{number}", {"text": line}


def _csv_records(path: Path) -> Iterator[Record]:
    reader = csv.reader((line + "\n" for _, line in numbered_lines(path)), strict=True)
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}:{start}: broken CSV record: {error}; check its quotes") from None


def _rows(path: Path, records: Iterable[Record], columns: list[str] | None, header: bool | None) -> Iterator[Row]:
    """Name the cells: by `columns`, else by the first line; `header` says whether there is such a line."""
    has_header = columns is None if header is None else header
    if columns is None and not has_header:
        raise UserError(f"{path}: has no header (header: false), so name its columns with columns: [...]")
    records = iter(records)
    if has_header:
        first = next(records, None)
        if first is None:
            return
        number, names = first
        if columns is None and len(set(names)) < len(names):
            raise UserError(
                f"{path}:{number}: the header repeats a name: {names}; if this line is data, name the columns"
                " with columns: [...]"
            )
        columns = columns or names
    assert columns is not None
    width = len(columns)
    for number, cells in records:
        if len(cells) != width:
            raise UserError(f"{path}:{number}: {len(cells)} columns instead of {width} ({', '.join(columns)})")
        yield f"{path}:{number}", dict(zip(columns, cells, strict=True))
