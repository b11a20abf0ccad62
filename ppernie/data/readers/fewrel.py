"""FewRel: sentences, each with the relation that it states between two entities (Han et al. 2018, arXiv:1810.10147)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ppernie.data.percentile import Percent, percentile
from ppernie.data.readers.documents import read_names
from ppernie.data.readers.files import Row, read_document
from ppernie.data.readers.values import texts_of
from ppernie.errors import UserError

#: Names of the relations, in a file beside the instances.
NAMES = "pid2name.json"
# The usual marks of head and tail: single tokens of BERT's vocabularies, so that none need be added and learnt.
_HEAD, _TAIL = "#", "$"


class Entity(NamedTuple):
    """Name, identifier in Wikidata, and the numbers of the first and the last token of its first mention."""

    name: str
    identifier: str
    first: int
    last: int


class Instance(NamedTuple):
    """A sentence and the identifier of the relation from head to tail."""

    where: str
    relation: str
    tokens: list[str]
    head: Entity
    tail: Entity

    @property
    def percentile(self) -> int:
        """From 0 to 99, by the two entities alone: no two parts of a file share a pair of entities, however turned."""
        pair = " ".join(sorted((self.head.identifier, self.tail.identifier)))
        return percentile(pair.encode())


def read_instances(path: Path, percent: Percent | None) -> Iterator[Instance]:
    """The instances of a file, or those whose percentile is in ``percent`` [first, last).

    Raises:
        UserError: the file is not FewRel's, a mention is outside of its sentence, or there are no such instances.
    """
    first, last = percent or (0, 100)
    found = False
    for instance in _all_instances(path):
        if first <= instance.percentile < last:
            found = True
            yield instance
    if not found:
        part = f" in percent [{first}, {last}]; give a wider range" if percent else ""
        raise UserError(f"{path}: holds no instances{part}")


def read_fewrel(path: Path, percent: Percent | None) -> Iterator[Row]:
    """Rows {text, head, tail, label}: the marked sentence, names of the entities, and the name of the relation.

    A relation that ``pid2name.json`` does not list, as those of the other domains, goes by its identifier.
    """
    if not path.with_name(NAMES).exists():
        raise UserError(f"{path.with_name(NAMES)}: no such file; put FewRel's names of relations beside {path.name}")
    names = read_names(path.with_name(NAMES))
    for instance in read_instances(path, percent):
        label = names.get(instance.relation, instance.relation)
        entities = {"head": instance.head.name, "tail": instance.tail.name}
        yield instance.where, {"text": marked(instance), **entities, "label": label}


def marked(instance: Instance) -> str:
    """The sentence with marks around the first mention of either entity: ``# Wilton Bridge # crosses $ the Wye $``."""
    words = list(instance.tokens)
    for mark, entity in ((_HEAD, instance.head), (_TAIL, instance.tail)):
        words[entity.first] = f"{mark} {words[entity.first]}"
        words[entity.last] = f"{words[entity.last]} {mark}"
    return " ".join(words)


def _all_instances(path: Path) -> Iterator[Instance]:
    try:
        relations = json.loads(read_document(path))
        rows = [(relation, number, row) for relation, rows in relations.items() for number, row in enumerate(rows)]
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not FewRel's instances by relation ({error}); correct format or files") from None
    for relation, number, row in rows:
        where = f"{path}: {relation}[{number}]"
        try:
            tokens, head, tail = (row[key] for key in ("tokens", "h", "t"))
        except (KeyError, TypeError):
            raise UserError(f"{where}: not FewRel's, which has tokens, h and t; correct format or files") from None
        tokens = texts_of(tokens, "tokens", where)
        yield Instance(where, relation, tokens, _entity(head, "h", tokens, where), _entity(tail, "t", tokens, where))


def _entity(value: Any, key: str, tokens: list[str], where: str) -> Entity:
    try:
        name, identifier, mentions = value
        if not isinstance(name, str) or not isinstance(identifier, str):
            raise TypeError
        numbers = [number for mention in mentions for number in mention]
        first, last = min(mentions[0]), max(mentions[0])
    except (TypeError, ValueError, LookupError):
        raise UserError(
            f"{where}: {key} must be a name, an identifier and lists of token numbers, not {value!r:.80}"
        ) from None
    if any(type(number) is not int or not 0 <= number < len(tokens) for number in numbers):
        raise UserError(f"{where}: {key} is at tokens {mentions}, and the sentence has 0 to {len(tokens) - 1}")
    return Entity(name, identifier, first, last)
