"""Pickles as data: every protocol is understood, and none of them can do anything."""

from __future__ import annotations

import os
import pickle
import struct
import time
import tracemalloc
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from ppernie.errors import UserError
from ppernie.zoo.formats import open_weights
from ppernie.zoo.formats.pickles import Name, Stateful, read_pickle
from ppernie.zoo.formats.tensors import Span

PLAIN = {
    "number": [0, 1, -1, 255, 65_536, -(2**31), 2**40, -(2**70), 10**300],
    "float": 1.5,
    "flags": (True, False, None),
    "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    "text": "模型 'quoted' \"twice\" \\ \n",
    "nested": {"a": {"b": [[], {}]}},
    5: "five",
}


def read(path: Path, data: bytes, **arguments: Any) -> Any:
    path.write_bytes(data)
    with path.open("rb") as file:
        return read_pickle(file, path, len(data), arguments.pop("calls", {}), **arguments)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values(tmp_path: Path, protocol: int) -> None:
    assert read(tmp_path / "x", pickle.dumps(PLAIN, protocol)) == PLAIN


def test_sets_and_bytes(tmp_path: Path) -> None:
    value = ({1, 2, "three"}, frozenset(["a"]), b"bytes", bytearray(b"array"))
    assert read(tmp_path / "x", pickle.dumps(value, 5)) == value


def test_python_2(tmp_path: Path) -> None:
    # {'a': 'b\xe9', u'c': 1L} of Python 2 with protocols 2 and 0.
    assert read(tmp_path / "x", b"\x80\x02}q\x00(U\x01aq\x01U\x02b\xe9X\x01\x00\x00\x00c\x8a\x01\x01u.") == {
        "a": "bé",
        "c": 1,
    }
    assert read(tmp_path / "x", b"(dp0\nS'a'\np1\nS'b\\xe9'\nsVc\nL1L\ns.") == {"a": "bé", "c": 1}


def test_a_shared_object_stays_one(tmp_path: Path) -> None:
    shared = ["x"]
    one, two = read(tmp_path / "x", pickle.dumps((shared, shared), 4))
    assert one is two
    loop: list[Any] = []
    loop.append(loop)
    found = read(tmp_path / "x", pickle.dumps(loop, 2))
    assert found[0] is found


@pytest.mark.parametrize("protocol", range(3, 6))
def test_long_strings_stay_in_the_file(tmp_path: Path, protocol: int) -> None:
    value = {"bytes": b"0123456789" * 1000, "text": "é" * 1000, "more": 7}
    data = pickle.dumps(value, protocol)
    found = read(tmp_path / "x", data)
    assert found["more"] == 7
    assert isinstance(found["bytes"], Span) and isinstance(found["text"], Span)
    assert not found["bytes"].text and found["text"].text
    for name in ("bytes", "text"):
        span = found[name]
        expected = value[name] if isinstance(value[name], bytes) else value[name].encode()  # type: ignore[attr-defined]
        assert data[span.offset : span.offset + span.length] == expected


def test_pickles_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "x"
    data = pickle.dumps([1], 2) + pickle.dumps("two", 4) + b"rest"
    path.write_bytes(data)
    with path.open("rb") as file:
        assert read_pickle(file, path, len(data), {}) == [1]
        assert read_pickle(file, path, len(data), {}) == "two"
        assert file.read() == b"rest"


def test_calls_that_were_admitted(tmp_path: Path) -> None:
    class Taken(Stateful):
        def set_state(self, state: Any) -> None:
            self.state = state

    calls = {("fractions", "Fraction"): lambda text: Taken(), ("collections", "OrderedDict"): dict}
    data = b"\x80\x02cfractions\nFraction\nX\x01\x00\x00\x001\x85R}X\x01\x00\x00\x00aK\x01sb."
    assert read(tmp_path / "x", data, calls=calls).state == {"a": 1}
    assert read(tmp_path / "x", pickle.dumps(OrderedDict(a=1), 4), calls=calls) == {"a": 1}


def test_a_name_alone_is_only_a_name(tmp_path: Path) -> None:
    assert read(tmp_path / "x", pickle.dumps([print, os.system], 4)) == [
        Name("builtins", "print"),
        Name("posix", "system"),
    ]


class Attack:
    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce_ex__(self, protocol: int) -> Any:
        return self.reduced


TOUCH = "open('hacked', 'w')"
HOSTILE = {
    **{f"system {n}": (pickle.dumps(Attack(os.system, ("touch hacked",)), n), "posix.system") for n in range(6)},
    **{f"eval {n}": (pickle.dumps(Attack(eval, (TOUCH,)), n), r"(builtins|__builtin__).eval") for n in range(6)},
    "nested": (pickle.dumps({"a": [Attack(exec, (TOUCH,))]}, 4), "builtins.exec"),
    "inst": (b"(S'touch hacked'\nios\nsystem\n.", "os.system"),
    "obj": (b"(cos\nsystem\nS'touch hacked'\no.", "os.system"),
    "newobj": (b"\x80\x02cos\nsystem\nX\x0c\x00\x00\x00touch hacked\x85\x81.", "os.system"),
    "newobj_ex": (b"\x80\x04cos\nsystem\n\x8c\x0ctouch hacked\x85}\x92.", "os.system"),
    "ext1": (b"\x80\x02\x82\x01.", "extension"),
    "ext2": (b"\x80\x02\x83\x01\x00.", "extension"),
    "ext4": (b"\x80\x02\x84\x01\x00\x00\x00.", "extension"),
    "build of a name": (b"\x80\x02cos\nenviron\n}X\x01\x00\x00\x00aK\x01sb.", "os.environ"),
    "build of a list": (b"\x80\x02]}b.", "a list"),
    "getattr": (pickle.dumps(Attack(getattr, ("a", "__class__")), 4), "builtins.getattr"),
    "a call of text": (b"\x80\x02X\x01\x00\x00\x00a)R.", "a str"),
    "control letters": (b"\x80\x04\x8c\x03\x1b[2\x8c\x01x\x93)R.", r"x1b\[2"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_code_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    data, message = HOSTILE[name]
    path = tmp_path / "model_state.pdparams"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as caught:
        open_weights(path)
    assert "ppernie reads arrays and nothing else" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert not (tmp_path / "hacked").exists()


def laughs() -> bytes:
    """Thirty lists, each holding the last one ten times: 10**30 elements when written out."""
    data = b"\x80\x02]q\x00"
    for level in range(30):
        data += b"](" + b"h" + bytes([level]) + (b"h" + bytes([level])) * 9 + b"eq" + bytes([level + 1])
    return data


OVERSIZED = {
    "binbytes8 of 2**60": b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x.",
    "bytearray8 of 2**63": b"\x80\x05\x96" + struct.pack("<Q", 2**63) + b"x.",
    "text of 2**32": b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"x.",
    "python 2 text of -1": b"\x80\x02T" + struct.pack("<i", -1) + b"x.",
    "long4 of 2**31": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
    "long4 of -1": b"\x80\x02\x8b" + struct.pack("<i", -1) + b"x.",
    "long4 of 1 MB": b"\x80\x02\x8b" + struct.pack("<i", 2**20) + bytes(2**20) + b".",
    "a number of 100,000 digits": b"I" + b"9" * 100_000 + b"\n.",
    "memo bomb": b"\x80\x02" + b"".join(b"]r" + struct.pack("<I", 2**32 - 1 - i) for i in range(80_000)),
    "laughs": laughs() + b".",
    "laughs as a call": laughs() + b"X\x01\x00\x00\x00aR.",
    "laughs as a key": laughs() + b"}h\x1eK\x01s.",
    "deep tuples as a key": b"\x80\x02})" + b"\x85" * 100_000 + b"K\x01s.",
    "deep lists": b"\x80\x02" + b"](" * 100_000 + b".",
    "lists in lists": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "no end": b"\x80\x02N" + b"2" * 1_100_000,
    "zeros of bytes": b"\x80\x02c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R.",
    "no mark": b"\x80\x02t.",
    "empty stack": b"\x80\x02.",
    "unknown memo": b"\x80\x02h\x07.",
    "no stop": b"\x80\x02]",
    "nothing": b"",
}


@pytest.mark.parametrize("name", OVERSIZED)
def test_bombs_cost_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model_state.pdparams"
    path.write_bytes(OVERSIZED[name])
    start = time.process_time()
    with pytest.raises(UserError):
        open_weights(path)
    assert time.process_time() - start < 1
    tracemalloc.start()
    with pytest.raises(UserError):
        open_weights(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
