"""Pickles read as data.

A pickle is a program for a small stack machine, and in Python's own machine that program may import and call anything.
This one builds dicts, lists, tuples, sets, numbers and texts. It imports nothing; a call in the pickle is made only
where the reader of a format gave a function of its own for that name. Long byte strings are not read: their place in
the file stands for them.

Source: the opcodes as ``pickletools`` of Python's library describes them, protocols 0 to 5.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ppernie.errors import UserError
from ppernie.zoo.formats.reading import damaged
from ppernie.zoo.formats.tensors import Span

# A state dict needs some fifty operations a tensor.
_MAX_OPERATIONS = 1_000_000
# Shorter strings are read at once: names, and arrays of a few elements.
_SHORT = 1024
_MAX_DEPTH = 1000
_MAX_LINE = 1024 * 1024
# Larger numbers as keys could be chosen so that they all fall into one slot of the table.
_MAX_KEY = 2**31


class Name(NamedTuple):
    """Something that a pickle names without calling it."""

    module: str
    name: str


class Stateful(ABC):
    """An object that a pickle first makes and then gives a state."""

    @abstractmethod
    def set_state(self, state: Any) -> None:
        """Takes the state. A TypeError or ValueError means that the pickle is damaged."""


Calls = Mapping[tuple[str, str], Callable[..., Any]]


def read_pickle(
    file: BinaryIO, path: Path, end: int, calls: Calls, persistent: Callable[[Any], Any] | None = None
) -> Any:
    """The object of the pickle that starts at the file's position; leaves the file behind it.

    Args:
        file: the open file.
        path: its name, for messages.
        end: the first byte in the file that the pickle cannot reach.
        calls: what to do for a call of ``(module, name)``. Its arguments come from the file: a function must not copy
            lists (a pickle can hand over one list a million times) nor compare, hash or print what may be nested. A
            result that is ``Stateful`` can be given a state; that of a dict is dropped (torch adds version numbers so).
        persistent: what a persistent id stands for.

    Raises:
        UserError: the pickle is damaged, wants to call what ``calls`` has not, or is out of proportion.
    """
    try:
        return _Machine(file, path, end, calls, persistent).run()
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, struct.error) as error:
        raise damaged(path, f"not a sound pickle ({type(error).__name__}: {str(error)[:200]})") from error


class _Machine:
    def __init__(
        self, file: BinaryIO, path: Path, end: int, calls: Calls, persistent: Callable[[Any], Any] | None
    ) -> None:
        self.file = file
        self.path = path
        self.left = end - file.tell()
        self.calls = calls
        self.persistent = persistent
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(_MAX_OPERATIONS):
            code = self.take(1)
            if code == b".":
                return self.stack.pop()
            if code in _LITERALS:
                self.stack.append(_LITERALS[code])
            elif code in _EMPTY:
                self.stack.append(_EMPTY[code]())
            elif code in _NUMBERS:
                self.stack.append(self.number(_NUMBERS[code]))
            elif code in _STRINGS:
                self.stack.append(self.string(*_STRINGS[code]))
            elif code in _TUPLES:
                self.stack.append(tuple(self.pop(_TUPLES[code])))
            elif code in _ACTIONS:
                _ACTIONS[code](self)
            else:
                raise damaged(self.path, f"a pickle with the unknown operation {code!r}")
        raise UserError(f"{self.path}: this pickle has more than {_MAX_OPERATIONS} operations; no weights need so many")

    # What the file gives.

    def claim(self, length: int) -> int:
        """Counts bytes of the file as used, before any memory is taken for them."""
        if not 0 <= length <= self.left:
            raise damaged(self.path, "is shorter than it says")
        self.left -= length
        return length

    def take(self, length: int) -> bytes:
        data = self.file.read(self.claim(length))
        if len(data) != length:
            raise damaged(self.path, "is shorter than it says")
        return data

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> bytes:
        line = self.file.readline(min(self.left, _MAX_LINE))
        self.claim(len(line))
        if not line.endswith(b"\n"):
            raise damaged(self.path, f"a line of text is cut off or longer than {_MAX_LINE} bytes")
        return line[:-1]

    def text_line(self) -> str:
        return self.line().decode("utf-8")

    def string(self, layout: str, kind: str) -> Any:
        length = self.number(layout)
        if length > _SHORT:
            span = Span(self.file.tell(), self.claim(length), text=kind == "text")
            self.file.seek(span.offset + length)
            return span
        data = self.take(length)
        if kind == "text":
            return data.decode("utf-8")
        # Python 2 wrote names and bytes alike.
        return data.decode("latin-1") if kind == "python2" else data

    # The stack.

    def pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise damaged(self.path, "a pickle that takes more than it has")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def pop_mark(self) -> list[Any]:
        values, self.stack = self.stack, self.outer.pop()
        return values

    def mark(self) -> None:
        if len(self.outer) == _MAX_DEPTH:
            raise ValueError(f"nested more than {_MAX_DEPTH} deep")
        self.outer.append(self.stack)
        self.stack = []

    # Containers.

    def key(self, key: Any) -> Any:
        """Dicts and sets hold texts and small numbers; deep tuples as keys could overrun the interpreter's stack."""
        if isinstance(key, str) or (type(key) is int and abs(key) < _MAX_KEY):
            return key
        raise TypeError(f"a key is a {type(key).__name__}")

    def put_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise TypeError(f"items for a {type(target).__name__}")
        target.update((self.key(key), value) for key, value in zip(values[::2], values[1::2], strict=True))

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, set):
            target.update(map(self.key, values))
        else:
            raise TypeError(f"elements for a {type(target).__name__}")

    def new_dict(self) -> None:
        values = self.pop_mark()
        self.stack.append({})
        self.put_items(values)

    def new_frozenset(self) -> None:
        values = self.pop_mark()
        self.stack.append(frozenset(map(self.key, values)))

    # Names and calls.

    def name(self) -> None:
        self.stack.append(Name(self.text_line(), self.text_line()))

    def stack_name(self) -> None:
        module, name = self.pop(2)
        if not (isinstance(module, str) and isinstance(name, str)):
            raise TypeError("a name that is no text")
        self.stack.append(Name(module, name))

    def call(self, target: Any, arguments: Any) -> None:
        function = self.calls.get(target) if isinstance(target, Name) else None
        if function is None:
            raise self.refusal(target)
        if not isinstance(arguments, tuple):
            raise TypeError("a call without a tuple of arguments")
        self.stack.append(function(*arguments))

    def refusal(self, target: Any) -> UserError:
        what = ascii(".".join(target)[:200]) if isinstance(target, Name) else f"a {type(target).__name__}"
        return UserError(f"{self.path}: this pickle wants to call {what}; ppernie reads arrays and nothing else")

    def call_marked(self) -> None:
        target, *arguments = self.pop_mark()
        self.call(target, tuple(arguments))

    def call_named(self) -> None:
        self.call(Name(self.text_line(), self.text_line()), tuple(self.pop_mark()))

    def call_with_keywords(self) -> None:
        raise self.refusal(self.pop(3)[0])

    def extension(self) -> None:
        raise UserError(f"{self.path}: this pickle wants a registered extension; ppernie reads arrays and nothing else")

    def set_state(self) -> None:
        target, state = self.stack[-2:]
        self.stack.pop()
        if isinstance(target, Stateful):
            target.set_state(state)
        elif not isinstance(target, dict):
            raise self.refusal(target)

    def persistent_id(self, value: Any) -> None:
        if self.persistent is None:
            raise TypeError("a persistent id")
        self.stack.append(self.persistent(value))

    # Numbers as text, and long numbers.

    def integer_line(self) -> None:
        text = self.line()
        # Protocols 0 and 1 have no other way to say False and True.
        self.stack.append(text == b"01" if text in (b"00", b"01") else int(text))

    def long(self, layout: str) -> None:
        length = self.number(layout)
        if length > _SHORT:
            raise ValueError(f"a number of {length} bytes")
        self.stack.append(int.from_bytes(self.take(length), "little", signed=True))

    def quoted_line(self) -> None:
        text = self.line()
        if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
            raise ValueError("a text without quotes")
        # What follows a backslash is replaced; nothing is evaluated.
        self.stack.append(text[1:-1].decode("unicode_escape"))

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]


_LITERALS: dict[bytes, Any] = {b"N": None, b"\x88": True, b"\x89": False}
_EMPTY: dict[bytes, type] = {b"]": list, b"}": dict, b")": tuple, b"\x8f": set}
_NUMBERS = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d"}
# The layout of the length, and what the string is.
_STRINGS = {
    b"X": ("<I", "text"),
    b"\x8c": ("<B", "text"),
    b"\x8d": ("<Q", "text"),
    b"B": ("<I", "bytes"),
    b"C": ("<B", "bytes"),
    b"\x8e": ("<Q", "bytes"),
    b"\x96": ("<Q", "bytes"),
    b"T": ("<i", "python2"),
    b"U": ("<B", "python2"),
}
_TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
_ACTIONS: dict[bytes, Callable[[_Machine], Any]] = {
    # Protocol and frame: their arguments matter only to a reader that reads ahead.
    b"\x80": lambda machine: machine.take(1),
    b"\x95": lambda machine: machine.take(8),
    b"(": _Machine.mark,
    b"0": lambda machine: machine.pop(1),
    b"1": _Machine.pop_mark,
    b"2": lambda machine: machine.push(machine.stack[-1]),
    b"g": lambda machine: machine.push(machine.memo[int(machine.line())]),
    b"h": lambda machine: machine.push(machine.memo[machine.number("<B")]),
    b"j": lambda machine: machine.push(machine.memo[machine.number("<I")]),
    b"p": lambda machine: machine.remember(int(machine.line())),
    b"q": lambda machine: machine.remember(machine.number("<B")),
    b"r": lambda machine: machine.remember(machine.number("<I")),
    b"\x94": lambda machine: machine.remember(len(machine.memo)),
    b"I": _Machine.integer_line,
    b"L": lambda machine: machine.push(int(machine.line().removesuffix(b"L"))),
    b"F": lambda machine: machine.push(float(machine.line())),
    b"\x8a": lambda machine: machine.long("<B"),
    b"\x8b": lambda machine: machine.long("<i"),
    b"S": _Machine.quoted_line,
    b"V": lambda machine: machine.push(machine.line().decode("raw_unicode_escape")),
    b"l": lambda machine: machine.push(machine.pop_mark()),
    b"t": lambda machine: machine.push(tuple(machine.pop_mark())),
    b"d": _Machine.new_dict,
    b"a": lambda machine: machine.extend(machine.pop(1)),
    b"e": lambda machine: machine.extend(machine.pop_mark()),
    b"s": lambda machine: machine.put_items(machine.pop(2)),
    b"u": lambda machine: machine.put_items(machine.pop_mark()),
    b"\x90": lambda machine: machine.extend(machine.pop_mark()),
    b"\x91": _Machine.new_frozenset,
    b"c": _Machine.name,
    b"\x93": _Machine.stack_name,
    b"R": lambda machine: machine.call(*machine.pop(2)),
    b"\x81": lambda machine: machine.call(*machine.pop(2)),
    b"o": _Machine.call_marked,
    b"i": _Machine.call_named,
    b"\x92": _Machine.call_with_keywords,
    b"\x82": _Machine.extension,
    b"\x83": _Machine.extension,
    b"\x84": _Machine.extension,
    b"b": _Machine.set_state,
    b"P": lambda machine: machine.persistent_id(machine.text_line()),
    b"Q": lambda machine: machine.persistent_id(machine.stack.pop()),
}
