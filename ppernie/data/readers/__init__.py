"""Files and named data sets -> the examples a task is trained on."""

import logging
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from ppernie.data import named
from ppernie.data.readers import conll, documents, fewrel, tables
from ppernie.data.readers.examples import CANONICAL, Canonical, Purpose
from ppernie.data.readers.fields import FieldMap
from ppernie.data.readers.files import Row, resolve
from ppernie.errors import UserError

__all__ = ["Purpose", "SourceLike", "read_examples", "read_row"]

logger = logging.getLogger("ppernie.data")

EXTENSIONS = {
    ".jsonl": "jsonl",
    ".json": "json",
    ".tsv": "tsv",
    ".csv": "csv",
    ".conll": "conll",
    ".txt": "text",
}


class SourceLike(Protocol):
    """Where examples come from: the `train`, `eval` and `test` entries of a config's `Data` section."""

    @property
    def files(self) -> str | list[str] | None: ...
    @property
    def dataset(self) -> str | None: ...
    @property
    def subset(self) -> str | None: ...
    @property
    def split(self) -> str | None: ...
    @property
    def format(self) -> str | None: ...
    @property
    def percent(self) -> tuple[int, int] | None: ...
    @property
    def columns(self) -> list[str] | None: ...
    @property
    def header(self) -> bool | None: ...
    @property
    def fields(self) -> dict[str, str] | None: ...
    @property
    def limit(self) -> int | None: ...


def read_examples(
    source: SourceLike,
    *,
    root: str | None,
    fields: Mapping[str, str],
    task: str,
    purpose: Purpose = "train",
) -> list[dict[str, Any]]:
    """Read a source into the canonical examples of a task.

    `fields` maps canonical names to columns or templates; the source's own entries win, name by name.
    With `purpose="predict"` targets (labels, tags, answers) may be absent. With `"eval"` an answer that is
    not in its context is kept with start -1, since only its text is scored; `"train"` refuses it.
    Raises UserError naming file and line.
    """
    canonical = _canonical(task)
    mapping = {**fields, **(source.fields or {})}
    field_map = FieldMap(task, canonical.names, mapping, targets_required=purpose != "predict")
    rows = _raw_rows(source, root)
    examples = list(islice(canonical.convert(rows, field_map, purpose), source.limit))
    name = source.dataset or source.files
    for note, (count, first) in field_map.notes.found.items():
        logger.warning("%s: %d %s, first at %s", name, count, note, first)
    if not examples:
        raise UserError(f"{name}: holds no examples")
    return examples


def read_row(row: Mapping[str, Any], where: str, *, fields: Mapping[str, str], task: str) -> dict[str, Any]:
    """One row to predict on, as a canonical example; a field it holds under its own name needs no mapping.

    Raises UserError naming `where`.
    """
    canonical = _canonical(task)
    mapping = {name: column for name, column in fields.items() if name not in row}
    field_map = FieldMap(task, canonical.names, mapping, targets_required=False)
    examples = list(canonical.convert([(where, dict(row))], field_map, "predict"))
    if not examples:
        raise UserError(f"{where}: nothing to predict on")
    return examples[0]


def _canonical(task: str) -> Canonical:
    """A family's own task, ``family/task``, has the examples of the task of that name."""
    return CANONICAL[task.rpartition("/")[2]]


def _raw_rows(source: SourceLike, root: str | None) -> Iterator[Row]:
    if source.dataset is not None:
        if source.format not in (None, "cluewsc"):
            raise UserError(f"format: {source.format} goes with files, not with dataset: {source.dataset}")
        _refuse_table_settings(source, f"dataset: {source.dataset}")
        rows = named.rows(source.dataset, source.subset, source.split)
    else:
        if source.subset is not None or source.split is not None:
            raise UserError(f"{source.files}: subset and split go with dataset, not with files")
        paths = resolve(source.files or [], root)
        rows = (row for path in paths for row in _file_rows(path, source))
    return map(documents.mark_mentions, rows) if source.format == "cluewsc" else rows


def _file_rows(path: Path, source: SourceLike) -> Iterator[Row]:
    kind = source.format or EXTENSIONS.get(path.suffix.lower())
    if kind is None:
        raise UserError(f"{path}: the ending does not tell the format; set format (tsv, csv, jsonl, ...)")
    if kind == "tsv":
        return tables.read_tsv(path, source.columns, source.header)
    if kind == "csv":
        return tables.read_csv(path, source.columns, source.header)
    _refuse_table_settings(source, f"{path}: format {kind}")
    if kind == "fewrel":
        return fewrel.read_fewrel(path, source.percent)
    return READERS[kind](path)


def _refuse_table_settings(source: SourceLike, what: str) -> None:
    if source.columns is not None or source.header is not None:
        raise UserError(f"{what} has no columns or header to set; they go with format tsv or csv")


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "jsonl": documents.read_jsonl,
    "json": documents.read_json,
    "cluewsc": documents.read_json,
    "squad": documents.read_squad,
    "conll": conll.read_conll,
    "text": tables.read_text,
}
