"""Text cut into units: n-grams of a lexicon, and single tokens between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ppernie.data.corpus.lexicon import Lexicon


@dataclass(frozen=True)
class Units:
    """A text of ``length`` tokens as consecutive units.

    Attributes:
        starts: int64 [units], the first token of each.
        identities: int64 [units], each as one symbol: a token's own id, or the lexicon's ``vocab_size``
            plus the n-gram's number.
        length: number of tokens.
    """

    starts: np.ndarray
    identities: np.ndarray
    length: int

    @property
    def sizes(self) -> np.ndarray:
        """Tokens of each unit."""
        return np.diff(self.starts, append=self.length)


def segment(tokens: np.ndarray, begins: np.ndarray, lexicon: Lexicon) -> Units:
    """The fewest units that make up a text (arXiv:2010.12148, section 3.2); of several ways the longest unit first.

    The identity of the n-gram of number k is ``lexicon.vocab_size + k``.

    Args:
        tokens: ids [length].
        begins: whether a sentence begins at a token, bool [length]; no unit reaches across.
    """
    found = lexicon.find(tokens)
    for row, numbers in enumerate(found):
        for offset in range(1, row + 2):
            numbers[: len(tokens) - offset][begins[offset:]] = -1
    # needed[i]: the fewest units of what begins at i; first[i]: the size of the first of them.
    length = len(tokens)
    needed, first = [0] * (length + 1), [1] * length
    candidates = [numbers.tolist() for numbers in found]
    for i in range(length - 1, -1, -1):
        fewest = needed[i + 1]
        for size, numbers in enumerate(candidates, start=2):
            if numbers[i] >= 0 and needed[i + size] <= fewest:
                fewest, first[i] = needed[i + size], size
        needed[i] = fewest + 1
    places = []
    at = 0
    while at < length:
        places.append(at)
        at += first[at]
    starts, sizes = np.array(places, np.int64), np.array(first, np.int64)[places]
    identities = np.asarray(tokens, np.int64)[starts]
    long = sizes > 1
    identities[long] = lexicon.vocab_size + found[sizes[long] - 2, starts[long]]
    return Units(starts, identities, length)
