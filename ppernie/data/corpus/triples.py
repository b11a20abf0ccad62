"""Triples of names, alone (knowledge graphs) or with the sentences that state them, from the files they come in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ppernie.data.corpus.settings import GraphSource, PairSource
from ppernie.data.percentile import Percent
from ppernie.data.readers.documents import read_jsonl, read_names
from ppernie.data.readers.fewrel import read_instances
from ppernie.data.readers.files import numbered_lines, resolve
from ppernie.errors import UserError

Triple = tuple[str, str, str]


class Pair(NamedTuple):
    """A sentence and a triple that it states."""

    sentence: str
    triple: Triple


def read_graph(source: GraphSource, root: str | None) -> Iterator[Triple]:
    """The triples of a graph, identifiers replaced by names; those of which an identifier has no name are left out.

    Raises:
        UserError: a file is absent or broken, or no triple has names.
    """
    names = _read_names(source.names, root, source.name_column)
    found = False
    for path in resolve(source.files, root):
        for triple in _GRAPHS[source.format](path):
            if named := _named(triple, names):
                found = True
                yield named
    if not found:
        raise UserError(f"{source.files}: holds no triple whose parts have names; correct files or names of the graph")


def read_pairs(source: PairSource, path: Path, root: str | None) -> Iterator[Pair]:
    """The pairs of one file. Raises UserError where it is broken."""
    names = _read_names(source.names, root)
    pairs = _fewrel(path, source.percent) if source.format == "fewrel" else _PAIRS[source.format](path)
    for sentence, (head, relation, tail) in pairs:
        yield Pair(sentence, (head, relation if names is None else names.get(relation, relation), tail))


def _named(triple: Triple, names: dict[str, str] | None) -> Triple | None:
    if names is not None:
        head, relation, tail = triple
        triple = names.get(head, ""), names.get(relation, relation), names.get(tail, "")
    return triple if all(part.strip() for part in triple) else None


def _read_names(file: str | None, root: str | None, column: int = 2) -> dict[str, str] | None:
    """Names by identifier: of a column beside the first, or of JSON: a name, a list or an object with label."""
    if file is None:
        return None
    [path] = resolve(file, root)
    if path.suffix == ".json":
        return read_names(path)
    return {cells[0]: cells[column - 1] for _, cells in _rows(path, column)}


def _rows(path: Path, width: int) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line that is not blank, at least ``width`` of them."""
    for number, line in numbered_lines(path):
        if line.strip():
            cells = line.split("\t")
            if len(cells) < width:
                raise UserError(f"{path}:{number}: {len(cells)} columns, and {width} are needed, separated by tabs")
            yield number, cells


def _tsv(path: Path) -> Iterator[Triple]:
    for _, (head, relation, tail, *_more) in _rows(path, 3):
        yield head, relation, tail


def _jsonl(path: Path) -> Iterator[Triple]:
    for where, row in read_jsonl(path):
        yield _triple(row, where)


def _triple(row: dict[str, Any], where: str) -> Triple:
    head, relation, tail = (row.get(key) for key in ("head", "relation", "tail"))
    if isinstance(head, str) and isinstance(relation, str) and isinstance(tail, str):
        return head, relation, tail
    raise UserError(f"{where}: head, relation and tail must be texts; it has {', '.join(row)}")


def _wordnet(path: Path) -> Iterator[Triple]:
    """``land_reform.n.01  _hypernym  reform.n.01``: the part of speech and the number of the sense are no names."""
    for triple in _tsv(path):
        head, relation, tail = (re.sub(r"\.[a-z]\.\d+$", "", part).replace("_", " ").strip() for part in triple)
        yield head, relation, tail


def _openke(path: Path) -> Iterator[Triple]:
    """Lines of head, tail and relation by number, the first line their count; the numbers are in files beside it.

    A relation such as ``/location/country/form_of_government`` has its last words as its name.
    """
    entities = _numbered(path.with_name("entity2id.txt"))
    relations = [
        name.rpartition("/")[2].replace("_", " ").strip() for name in _numbered(path.with_name("relation2id.txt"))
    ]
    for number, line in numbered_lines(path):
        if number > 1 and line.strip():
            try:
                head, tail, relation = map(int, line.split())
                yield entities[head], relations[relation], entities[tail]
            except (ValueError, IndexError):
                raise UserError(f"{path}:{number}: expected the numbers of a head, a tail and a relation") from None


def _numbered(path: Path) -> list[str]:
    """Names in the order of their numbers, which stand behind them; the first line is their count."""
    return [line.rpartition("\t")[0] for number, line in numbered_lines(path) if number > 1 and line.strip()]


def _pair_objects(path: Path) -> Iterator[Pair]:
    for where, row in read_jsonl(path):
        if not isinstance(row.get("text"), str):
            raise UserError(f"{where}: text must be a text; it has {', '.join(row)}")
        yield Pair(row["text"], _triple(row, where))


def _spo(path: Path) -> Iterator[Pair]:
    """Text with ``spo_list``: a predicate, and subject and object as ranges [first, end) of characters."""
    for where, row in read_jsonl(path):
        try:
            text = row["text"]
            for spo in row["spo_list"]:
                subject, predicate, object_ = (spo[key] for key in ("subject", "predicate", "object"))
                yield Pair(text, (text[slice(*subject)], predicate, text[slice(*object_)]))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{where}: text and spo_list with predicate, subject, object expected ({error})") from None


def _fewrel(path: Path, percent: Percent | None) -> Iterator[Pair]:
    for instance in read_instances(path, percent):
        yield Pair(" ".join(instance.tokens), (instance.head.name, instance.relation, instance.tail.name))


_GRAPHS: dict[str, Callable[[Path], Iterator[Triple]]] = {
    "tsv": _tsv,
    "jsonl": _jsonl,
    "wordnet": _wordnet,
    "openke": _openke,
}
_PAIRS: dict[str, Callable[[Path], Iterator[Pair]]] = {"jsonl": _pair_objects, "spo": _spo}
