"""YAML as configs use it: the core schema of YAML 1.2, with the line of every key.

Only ``true`` and ``false`` are booleans (``on``, ``off``, ``yes`` and ``no`` are text), ``3e-5`` is a
number, ``010`` is ten, dates are text and ``<<`` is an ordinary key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

import yaml

from ppernie.config.settings import KeyPath, dotted
from ppernie.errors import UserError

_PREFIX = "tag:yaml.org,2002:"


def _integer(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _text(text: str) -> str:
    # JSON writes a character beyond U+FFFF as two escapes, which YAML reads as two halves; a lone half is an error.
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


# tag, pattern, first characters, conversion; in the order in which they are tried
_SCALARS: list[tuple[str, str, list[str], Callable[[str], Any]]] = [
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""], lambda text: None),
    (
        "bool",
        r"true|True|TRUE|false|False|FALSE",
        list("tTfF"),
        lambda text: {"true": True, "false": False}[text.lower()],
    ),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789"), _integer),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
        _float,
    ),
]
_CONVERT: dict[str, Callable[[str], Any]] = {_PREFIX + tag: convert for tag, _, _, convert in _SCALARS}
_CONVERT[_PREFIX + "str"] = _text


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}


class _Dumper(yaml.SafeDumper):
    """Quotes text that either version of YAML would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _first, _ in _SCALARS:
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(_PREFIX + _tag, re.compile(rf"(?:{_pattern})\Z"), _first)


def dump_yaml(values: Any) -> str:
    """Text that ``parse_yaml`` reads back as equal values, keys in the order given."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def parse_yaml(text: str, source: str) -> tuple[Any, dict[KeyPath, int]]:
    """The value of one YAML document (None when empty) and the line of each key path in it.

    Raises UserError, with ``source``, line and column, for broken YAML, tags beyond the core schema,
    keys that are not text, a key given twice in a map, and an alias inside its own anchor.
    """
    lines: dict[KeyPath, int] = {}
    try:
        node = _Loader(text).get_single_node()
        value = None if node is None else _Walk(source, lines).value(node, ())
    except yaml.MarkedYAMLError as error:
        _fail(source, error.problem_mark or error.context_mark, error.problem or "broken YAML")
    except yaml.reader.ReaderError as error:
        before = text[: error.position].split("\n")
        place = f"line {len(before)}, column {len(before[-1]) + 1}"
        raise UserError(f"{source}, {place}: the character U+{error.character:04X} cannot stand in YAML") from error
    except RecursionError as error:
        raise UserError(f"{source}: maps or lists are nested too deeply") from error
    return value, lines


def _fail(source: str, mark: Any, problem: str) -> NoReturn:
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    raise UserError(f"{source}{where}: {problem}")


class _Walk:
    """Turns nodes into plain values and notes their lines."""

    def __init__(self, source: str, lines: dict[KeyPath, int]) -> None:
        self.source = source
        self.lines = lines
        self.open: list[yaml.Node] = []

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        if any(node is outer for outer in self.open):
            self.fail(node, "an alias stands inside its own anchor")
        self.open.append(node)
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == _PREFIX + "map":
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode) and node.tag == _PREFIX + "seq":
                return [self.item(item, (*path, index)) for index, item in enumerate(node.value)]
            return self.scalar(node)
        finally:
            self.open.pop()

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node, path)
            if not isinstance(key, str):
                self.fail(key_node, f"the key {key!r} is not text; quote it")
            here = (*path, key)
            if key in found:
                self.fail(key_node, f"{dotted(here)} is given twice, first in line {self.lines[here]}")
            self.lines[here] = key_node.start_mark.line + 1
            found[key] = self.value(value_node, here)
        return found

    def item(self, node: yaml.Node, path: KeyPath) -> Any:
        self.lines[path] = node.start_mark.line + 1
        return self.value(node, path)

    def scalar(self, node: yaml.Node) -> Any:
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _CONVERT:
            self.fail(node, f"the tag {node.tag.replace(_PREFIX, '!!')} has no meaning here")
        try:
            return _CONVERT[node.tag](node.value)
        except (ValueError, KeyError):
            self.fail(node, f"{node.value!r} is not a {node.tag.removeprefix(_PREFIX)}")

    def fail(self, node: yaml.Node, problem: str) -> NoReturn:
        _fail(self.source, node.start_mark, problem)
