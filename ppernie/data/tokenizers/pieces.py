"""Encodings that are put together in Python, for tokenizers whose library knows no special tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import NamedTuple

from ppernie.data.tokenizers.base import Truncate, kept_tokens


class Piece(NamedTuple):
    """The id of a token of one text, and from and to which character it goes."""

    token_id: int
    offset: tuple[int, int]
    word: int | None = None


@dataclass(frozen=True)
class PieceEncoding:
    """An `Encoding` made in Python; see there."""

    ids: list[int]
    tokens: list[str]
    type_ids: list[int]
    offsets: list[tuple[int, int]]
    word_ids: list[int | None]
    sequence_ids: list[int | None]
    special_tokens_mask: list[int]
    overflowing: list[PieceEncoding] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Frame:
    """The special tokens of an encoding: ids before the first text, and behind each."""

    tokens: Sequence[str]
    before: Sequence[int]
    after: Sequence[int]

    def around(
        self, sides: list[list[Piece]], max_length: int | None, truncate: Truncate, stride: int
    ) -> PieceEncoding:
        """Cuts one or two texts down to `max_length` and adds the special tokens; see `Tokenizer.encode`."""
        kept = [len(side) for side in sides]
        if max_length is not None:
            special = len(self.before) + len(self.after) * len(sides)
            kept = kept_tokens(kept, max_length, truncate, stride, special)
        if len(sides) == 2 and truncate == "longest_first":
            return self._assemble([side[:length] for side, length in zip(sides, kept, strict=True)])
        # Only one of two texts is cut, so the other has one window.
        windows = [_windows(side, length, stride) for side, length in zip(sides, kept, strict=True)]
        encoding, *others = map(self._assemble, product(*windows))
        return replace(encoding, overflowing=others)

    def _assemble(self, sides: Sequence[Sequence[Piece]]) -> PieceEncoding:
        rows: list[tuple[Piece, int, int | None]] = [(Piece(index, (0, 0)), 0, None) for index in self.before]
        for side, pieces in enumerate(sides):
            rows += [(piece, side, side) for piece in pieces]
            rows += [(Piece(index, (0, 0)), side, None) for index in self.after]
        return PieceEncoding(
            ids=[piece.token_id for piece, _, _ in rows],
            tokens=[self.tokens[piece.token_id] for piece, _, _ in rows],
            type_ids=[type_id for _, type_id, _ in rows],
            offsets=[piece.offset for piece, _, _ in rows],
            word_ids=[piece.word for piece, _, _ in rows],
            sequence_ids=[sequence for _, _, sequence in rows],
            special_tokens_mask=[int(sequence is None) for _, _, sequence in rows],
        )


def _windows(pieces: list[Piece], length: int, stride: int) -> list[list[Piece]]:
    """Windows of `length` pieces, neighbours sharing `stride`, up to the first that reaches the end."""
    if length == len(pieces):
        return [pieces]
    return [pieces[start : start + length] for start in range(0, len(pieces) - stride, length - stride)]
