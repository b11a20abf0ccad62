"""Sentences to ids, many characters at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ppernie.data.corpus.text import code_points
from ppernie.data.tokenizers import ErnieTokenizer, GlmTokenizer, Tokenizer
from ppernie.data.tokenizers.ernie import INSIDE_SPECIAL

_BMP = 0x10000
_SURROGATES = range(0xD800, 0xE000)
_SPACE, _ALONE, _JOINED = range(3)
# Stretches up to this length are kept with their ids, this many of them: words recur.
_KEPT_LENGTH = 32
_KEPT = 50_000

_Pieces = tuple[list[int], list[int]]


class SentenceEncoder:
    """The tokenizer's ids of sentences, without special tokens.

    For ERNIE's tokenizer most of a Chinese text is characters that stand alone, whose ids do not depend on their
    neighbours: they are looked up in a table, and only what is between them goes through the tokenizer. For other
    tokenizers whole sentences do, for GLM's as they follow on each other in a document. A special token that is
    written out in a text, such as "[MASK]", is text.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._kinds = np.full(_BMP, _JOINED, np.uint8)
        self._ids = np.full(_BMP, tokenizer.unk_id, np.int64)
        self._kept: dict[str, _Pieces] = {}
        if isinstance(tokenizer, ErnieTokenizer):
            self._tabulate()
        self._kinds[ord("\n")] = _SPACE

    def _tabulate(self) -> None:
        """A character stands alone if it makes a token of its own between two letters, and a space makes none."""
        codes = [code for code in range(_BMP) if code not in _SURROGATES]
        for code, encoding in zip(codes, self._tokenizer.encode_batch([f"a{chr(c)}a" for c in codes]), strict=True):
            pieces = encoding.offsets[1:-1]
            if pieces == [(0, 1), (1, 2), (2, 3)] and encoding.ids[1] == encoding.ids[3]:
                self._kinds[code] = _ALONE
                self._ids[code] = encoding.ids[2]
            elif pieces == [(0, 1), (2, 3)] and encoding.ids[1] == encoding.ids[2]:
                self._kinds[code] = _SPACE

    def __call__(self, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Of all sentences, one after the other.

        Returns:
            int64 ids [n], and int64 places [n]: the character, counted over all sentences, that each begins with.
        """
        if isinstance(self._tokenizer, GlmTokenizer):
            return _follow(self._tokenizer, sentences)
        text = "\n".join(sentences)
        codes = code_points(text)
        kinds = self._kinds[np.minimum(codes, _BMP - 1)]
        kinds[codes >= _BMP] = _JOINED
        alone = np.flatnonzero(kinds == _ALONE)
        edges = np.flatnonzero(np.diff(kinds == _JOINED, prepend=False, append=False)).tolist()
        ids, places = [], []
        for start, end in self._cut(text, edges):
            pieces, offsets = self._pieces(text[start:end])
            ids += pieces
            places += [start + offset for offset in offsets]
        all_places = np.concatenate([alone, np.array(places, np.int64)])
        order = np.argsort(all_places, kind="stable")
        all_ids = np.concatenate([self._ids[codes[alone]], np.array(ids, np.int64)])[order]
        all_places = all_places[order]
        return all_ids, all_places - np.cumsum(codes == ord("\n"))[all_places]

    @staticmethod
    def _cut(text: str, edges: list[int]) -> Iterator[tuple[int, int]]:
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            for match in INSIDE_SPECIAL.finditer(text, start, end):
                yield start, match.start()
                start = match.start()
            yield start, end

    def _pieces(self, text: str) -> _Pieces:
        """Ids and first characters of a stretch's tokens."""
        if (kept := self._kept.get(text)) is not None:
            return kept
        encoding = self._tokenizer.encode(text)
        pieces = encoding.ids[1:-1], [start for start, _ in encoding.offsets[1:-1]]
        if len(text) <= _KEPT_LENGTH:
            if len(self._kept) == _KEPT:
                self._kept.clear()
            self._kept[text] = pieces
        return pieces


def _follow(tokenizer: GlmTokenizer, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    starts = np.cumsum([0, *map(len, sentences)]).tolist()
    cuts = tokenizer.encode_sentences(sentences)
    ids = [index for cut, _ in cuts for index in cut]
    places = [start + first for start, (_, offsets) in zip(starts, cuts, strict=False) for first, _ in offsets]
    return np.array(ids, np.int64), np.array(places, np.int64)
