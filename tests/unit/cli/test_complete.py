"""The session around a model: prompts of several lines, interruptions, mistakes, and the end of the input."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from ppernie.cli.complete import session
from ppernie.errors import UserError


class Terminal(io.StringIO):
    """Lines that are typed; a line "^C" is Ctrl-C."""

    def isatty(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:
        line = super().readline()
        if line == "^C\n":
            raise KeyboardInterrupt
        return line


def echo(text: str) -> Iterator[str]:
    if text == "wrong":
        raise UserError("the prompt is wrong")
    for part in text:
        yield part
        if text == "long" and part == "n":
            raise KeyboardInterrupt


def talk(typed: str, source: type[io.StringIO] = io.StringIO) -> str:
    sink = io.StringIO()
    session(echo, source(typed), sink)
    return sink.getvalue()


def test_every_line_is_a_prompt_and_empty_ones_are_passed_over() -> None:
    assert talk("one\n\n  \ntwo") == "one\ntwo\n"
    assert talk("") == ""


def test_a_backslash_goes_on_in_the_next_line() -> None:
    assert talk("one\\\ntwo\\\n three\nfour\n") == "one\ntwo\n three\nfour\n"
    # At the end of the input, what was begun is answered.
    assert talk("one\\") == "one\n\n"


def test_ctrl_c_stops_the_text_and_not_the_session() -> None:
    assert talk("long\nshort\n") == "lon\nshort\n"


def test_ctrl_c_drops_a_prompt_that_is_being_written() -> None:
    assert talk("one\\\n^C\ntwo\n", Terminal) == "> ... \n> two\n> "


def test_a_mistake_is_told_and_the_session_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert talk("wrong\nright\n") == "\nright\n"
    assert capsys.readouterr().err == "error: the prompt is wrong\n"
