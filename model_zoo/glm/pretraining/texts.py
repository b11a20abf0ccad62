"""The documents of a corpus as one long text, in windows.

Documents are joined, with the token of a text's end behind each: many are far shorter than a window, which would be
mostly padding. Sources stay apart, so that their weights are exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ppernie.errors import UserError

if TYPE_CHECKING:
    from ppernie.data.corpus import Corpus

# With fewer tokens there is nothing to hide and to tell it from.
LEAST_TEXT = 8


class JoinedTexts:
    """Windows of ``length`` tokens, which follow on each other; a source's last one begins early enough to be full.

    Raises:
        UserError: a source has less than ``LEAST_TEXT`` tokens.
    """

    def __init__(self, corpus: Corpus, eos_id: int, length: int) -> None:
        self._corpus, self._eos_id = corpus, eos_id
        borders = np.asarray(corpus.sentences)[corpus.documents]
        # Where the end token of each document stands.
        self._ends = borders[1:] + np.arange(len(borders) - 1)
        sources = np.asarray(corpus.source_of).astype(np.int64)
        last = np.flatnonzero(np.diff(sources, append=-1))
        stops = self._ends[last] + 1
        starts = np.concatenate([[0], stops[:-1]])
        for source, size in zip(sources[last], stops - starts, strict=True):
            if size < LEAST_TEXT and corpus.weights[source]:
                raise UserError(
                    f"{corpus.path}: the source {corpus.sources[source]} has {size} tokens in a row, and a sample "
                    f"needs {LEAST_TEXT}; give it more text, or the weight 0"
                )
        counts = -(-(stops - starts) // length)
        runs = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(runs)) - np.repeat(np.cumsum(counts) - counts, counts)
        self._starts = np.maximum(np.minimum(starts[runs] + within * length, stops[runs] - length), starts[runs])
        self._stops = np.minimum(self._starts + length, stops[runs])
        self._draws = corpus.draws(np.asarray(corpus.documents)[last][runs])

    def __len__(self) -> int:
        return len(self._draws)

    def part(self, index: int, length: int, rng: np.random.Generator) -> range:
        """Where a window stands in the text; of one longer than ``length`` tokens, a random part of as many."""
        window, _ = self._draws.find(index)
        start, stop = int(self._starts[window]), int(self._stops[window])
        start += int(rng.integers(max(stop - start - length, 0) + 1))
        return range(start, min(start + length, stop))

    def tokens(self, part: range) -> np.ndarray:
        """int64 [len(part)]."""
        first, last = self._documents(part)
        text = np.full(len(part), self._eos_id, np.int64)
        text[self._inside(part)] = self._corpus.tokens[part.start - first : part.stop - last]
        return text

    def sentences(self, part: range) -> tuple[np.ndarray, np.ndarray]:
        """Starts and sizes of a part's sentences within it, int64 [sentences] each; end tokens are in none."""
        first, last = self._documents(part)
        offsets = self._corpus.sentences
        start, stop = part.start - first, part.stop - last
        low, high = np.searchsorted(offsets, [start, stop], "right")
        borders = np.concatenate([[start], np.asarray(offsets[low:high]), [stop]]) - start
        sizes = np.diff(borders)
        borders, sizes = borders[:-1][sizes > 0], sizes[sizes > 0]
        return np.flatnonzero(self._inside(part))[borders], sizes

    def _documents(self, part: range) -> tuple[int, int]:
        """How many documents end before the part, and before its end."""
        first, last = np.searchsorted(self._ends, [part.start, part.stop])
        return int(first), int(last)

    def _inside(self, part: range) -> np.ndarray:
        """Whether a token is of a document, bool [len(part)]."""
        first, last = self._documents(part)
        inside = np.ones(len(part), bool)
        inside[self._ends[first:last] - part.start] = False
        return inside
