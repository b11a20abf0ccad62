"""Many sequences of numbers, looked for at all places of a long one at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_CODE_BITS = 21  # holds Unicode's code points, and the ids of any vocabulary
_ODD = np.uint64(0x9E3779B97F4A7C15)
_ABSENT = -1


class Phrases:
    """A trie of phrases whose edges lie in one hash table, so that a step down is taken for all places together.

    Args:
        codes: the phrases one after the other; numbers in [0, 2^21).
        offsets: int64 [n + 1]; phrase i is ``codes[offsets[i]:offsets[i + 1]]``, and none is empty. Of equal phrases
            the last one is found.
    """

    def __init__(self, codes: np.ndarray, offsets: np.ndarray) -> None:
        lengths = np.diff(offsets)
        alive = np.arange(len(lengths))
        nodes = np.zeros(len(lengths), np.int64)  # of each phrase, at the present depth; 0 is the root
        edges, targets, ends, count = [], [], [], 1
        for depth in range(int(lengths.max(initial=0))):
            alive = alive[lengths[alive] > depth]
            keys, inverse = np.unique(_key(nodes[alive], codes[offsets[alive] + depth]), return_inverse=True)
            nodes[alive] = count + inverse
            edges.append(keys)
            targets.append(np.arange(count, count + len(keys)))
            ended = alive[lengths[alive] == depth + 1]
            ends.append((nodes[ended], ended))
            count += len(keys)
        self._phrase = np.full(count, _ABSENT, np.int32)
        for places, phrases in ends:
            self._phrase[places] = phrases
        self._children = _HashTable(np.concatenate([np.empty(0, np.int64), *edges]), np.concatenate([[], *targets]))

    def walk(self, codes: np.ndarray, starts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For the lengths 1, 2, ...: which of the starts begin a phrase of that length, and which phrase.

        Args:
            codes: int64 [n].
            starts: ascending places in it.
        """
        nodes, depth = np.zeros(len(starts), np.int64), 0
        while len(starts):
            inside = starts + depth < len(codes)
            starts, nodes = starts[inside], nodes[inside]
            nodes = self._children.find(_key(nodes, codes[starts + depth]))
            found = nodes != _ABSENT
            starts, nodes = starts[found], nodes[found]
            phrases = self._phrase[nodes]
            ended = phrases != _ABSENT
            yield starts[ended], phrases[ended]
            depth += 1


def _key(nodes: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return nodes.astype(np.int64) << _CODE_BITS | codes


class _HashTable:
    """Numbers by distinct keys of 0 or more, with linear probing; at most half of the slots are taken."""

    def __init__(self, keys: np.ndarray, values: np.ndarray) -> None:
        bits = max(1, int(2 * len(keys)).bit_length())
        self._shift = np.uint64(64 - bits)
        self._mask = (1 << bits) - 1
        self._keys = np.full(1 << bits, _ABSENT, np.int64)
        self._values = np.full(1 << bits, _ABSENT, np.int32)
        pending, slots = np.arange(len(keys)), self._slots(keys)
        while len(pending):
            free = self._keys[slots] == _ABSENT
            # Of several keys for one free slot the last one written gets it; the others see that and go on.
            self._keys[slots[free]] = keys[pending[free]]
            placed = self._keys[slots] == keys[pending]
            self._values[slots[placed]] = values[pending[placed]]
            pending, slots = pending[~placed], (slots[~placed] + 1) & self._mask

    def _slots(self, keys: np.ndarray) -> np.ndarray:
        return (keys.astype(np.uint64) * _ODD >> self._shift).astype(np.int64)

    def find(self, keys: np.ndarray) -> np.ndarray:
        """int32 [n]: the value of each key, -1 where it is absent."""
        slots = self._slots(keys)
        held = self._keys[slots]
        values = np.where(held == keys, self._values[slots], _ABSENT)
        pending = np.flatnonzero((held != keys) & (held != _ABSENT))
        while len(pending):
            slots_left = (slots[pending] + 1) & self._mask
            slots[pending] = slots_left
            held = self._keys[slots_left]
            found = held == keys[pending]
            values[pending[found]] = self._values[slots_left[found]]
            pending = pending[~found & (held != _ABSENT)]
        return values
