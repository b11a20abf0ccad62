"""Text from tokens that come one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

# What stands for bytes that are no character, or not yet.
_INCOMPLETE = "\ufffd"


class TextStream:
    """The text of a growing list of tokens, handed out in parts that end between characters.

    A token may hold some of a character's bytes only, so the end of what is decoded waits until it is whole.

    Args:
        decode: the text of tokens; that of more tokens begins with that of fewer.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._given = 0

    def add(self, token: int) -> str:
        """What can be said after one more token, which may be nothing."""
        self._tokens.append(token)
        return self._rest(self._decode(self._tokens).rstrip(_INCOMPLETE))

    def end(self) -> str:
        """What was held back."""
        return self._rest(self._decode(self._tokens))

    def _rest(self, text: str) -> str:
        rest = text[self._given :]
        self._given = max(self._given, len(text))
        return rest
