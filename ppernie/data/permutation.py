"""A random order that is computed number by number, so that of a corpus of any size none of it lies in memory."""

from __future__ import annotations

import numpy as np

_ROUNDS = 6


class Permutation:
    """A permutation of 0, ..., ``count`` - 1, as random as its key.

    A Feistel network permutes the numbers below the next power of 4; what comes out too high goes through it again
    (Black and Rogaway 2002, *Ciphers with Arbitrary Finite Domains*).

    Args:
        key: numbers from 0 on, such as a seed.
    """

    def __init__(self, count: int, *key: int) -> None:
        self.count = count
        self._half = np.uint64(max(1, -(-(count - 1).bit_length() // 2)))
        self._mask = (np.uint64(1) << self._half) - np.uint64(1)
        self._keys = np.random.SeedSequence(key).generate_state(_ROUNDS, np.uint64)

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Where each of the numbers, int [n], goes: int64 [n]."""
        found = self._permuted(numbers.astype(np.uint64))
        while (high := found >= self.count).any():
            found[high] = self._permuted(found[high])
        return found.astype(np.int64)

    def _permuted(self, numbers: np.ndarray) -> np.ndarray:
        left, right = numbers >> self._half, numbers & self._mask
        for key in self._keys:
            left, right = right, left ^ (_mixed(right ^ key) & self._mask)
        return (left << self._half) | right


def _mixed(x: np.ndarray) -> np.ndarray:
    """Every bit depends on all (the last steps of SplitMix64, Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
