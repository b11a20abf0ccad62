"""Rows of files in the layouts in which public data sets come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ppernie.data.readers.documents import read_json
from ppernie.data.readers.files import Row, numbered_lines, read_document
from ppernie.errors import UserError

# Stands in the place of the word that a query of People Daily's layout asks for.
MARK = "XXXXX"
_SEPARATOR = "|||"


def read_cmrc2019(path: Path) -> Iterator[Row]:
    """The passages of a document ``{"data": [...]}``, as CMRC 2019 publishes them; JSON lines are read too."""
    try:
        document = json.loads(read_document(path))
    except json.JSONDecodeError:
        yield from read_json(path)
        return
    passages = document.get("data") if isinstance(document, dict) else None
    if not isinstance(passages, list) or not all(isinstance(passage, dict) for passage in passages):
        raise UserError(f'{path}: is not in the layout of CMRC 2019, {{"data": [{{"context", "choices", "answers"}}]}}')
    for index, passage in enumerate(passages):
        yield f"{path}: data[{index}]", passage


def read_people_daily(path: Path) -> Iterator[Row]:
    """The queries of People Daily, Children's Fairy Tale and CMRC 2017 (Cui et al. 2016, arXiv:1607.02250).

    A passage is lines ``number ||| sentence``, words apart by spaces, and ends with ``<qid_n> ||| query ||| answer``.
    Where answers are not given so, lines ``<qid_n> ||| answer`` stand in the file beside this one that ends in
    ``.answer`` instead.
    """
    answers: dict[str, str] | None = None
    sentences: list[list[str]] = []
    for number, line in numbered_lines(path):
        where = f"{path}:{number}"
        cells = [cell.strip() for cell in line.split(_SEPARATOR)]
        if not line.strip():
            continue
        if len(cells) < 2 or not (cells[0].isdecimal() or cells[0].startswith("<")):
            raise UserError(f"{where}: expected 'number {_SEPARATOR} sentence' or '<qid_n> {_SEPARATOR} query'")
        if cells[0].isdecimal():
            sentences.append(cells[1].split())
            continue
        if len(cells) == 2:
            answers = answers or _answers(path.with_suffix(".answer"), where)
            if cells[0] not in answers:
                raise UserError(f"{path.with_suffix('.answer')}: no answer to {cells[0]}, which {where} asks")
            cells.append(answers[cells[0]])
        yield where, _query(sentences, cells[1].split(), cells[2], where)
        sentences = []


def _answers(path: Path, where: str) -> dict[str, str]:
    if not path.exists():
        raise UserError(f"{where}: the query has no answer behind it, and there is no {path} with the answers")
    lines = (line.partition(_SEPARATOR) for _, line in numbered_lines(path) if line.strip())
    return {name.strip(): answer.strip() for name, _, answer in lines}


def _query(sentences: list[list[str]], query: list[str], answer: str, where: str) -> dict[str, object]:
    if not sentences:
        raise UserError(f"{where}: no passage stands before the query")
    return {
        # The query repeats the sentence with the mark.
        "passage": "".join(word for sentence in sentences if MARK not in sentence for word in sentence),
        "query": "".join(query),
        "words": [word for sentence in sentences for word in sentence],
        "answer": answer,
    }
