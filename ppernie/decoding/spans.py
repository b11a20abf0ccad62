"""Texts that are stretches of another text."""

from __future__ import annotations

from collections.abc import Sequence


class SpansOf:
    """What may follow the beginning of a stretch of ``context``: the token behind it wherever it occurs, or the end.

    The end is a token too: where the context has it, a stretch ends before it.
    """

    def __init__(self, context: Sequence[int], end_id: int) -> None:
        self._context, self._end_id = list(context), end_id
        self._places: dict[tuple[int, ...], list[int]] = {(): list(range(len(self._context)))}

    def __call__(self, tokens: Sequence[int]) -> list[int]:
        """The tokens that may stand behind ``tokens``."""
        found = {self._context[place] for place in self._behind(tuple(tokens)) if place < len(self._context)}
        return sorted(found | {self._end_id})

    def _behind(self, tokens: tuple[int, ...]) -> list[int]:
        """The places behind all occurrences of ``tokens``."""
        if tokens not in self._places:
            before = self._behind(tokens[:-1])
            self._places[tokens] = [n + 1 for n in before if n < len(self._context) and self._context[n] == tokens[-1]]
        return self._places[tokens]
