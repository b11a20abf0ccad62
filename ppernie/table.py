"""Tables of results as plain text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def render(rows: Sequence[dict[str, object]]) -> str:
    """Renders rows with the same keys as an aligned Markdown table; numbers stand to the right."""
    if not rows:
        return ""
    header = list(rows[0])
    cells = [[str(row[key]) for key in header] for row in rows]
    widths = [max(map(_width, column)) for column in zip(header, *cells, strict=True)]
    right = [all(_is_number(row[index]) for row in cells if row[index]) for index in range(len(header))]
    rule = ["-" * (width - 1) + ":" if ends else "-" * width for width, ends in zip(widths, right, strict=True)]
    return "\n".join(_line(line, widths, right) for line in (header, rule, *cells))


def _line(cells: list[str], widths: list[int], right: list[bool]) -> str:
    blanks = [" " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    padded = (blank + cell if ends else cell + blank for cell, blank, ends in zip(cells, blanks, right, strict=True))
    return f"| {' | '.join(padded)} |"


def _width(cell: str) -> int:
    """Columns that a terminal gives the text: two for each Chinese character."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", ""))
    except ValueError:
        return False
    return True
