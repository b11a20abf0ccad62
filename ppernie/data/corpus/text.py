"""Text as an array of code points, and the classes of characters."""

from __future__ import annotations

from functools import cache

import numpy as np

_BMP = 0x10000


def code_points(text: str) -> np.ndarray:
    """uint32 [characters]."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def is_han(codes: np.ndarray) -> np.ndarray:
    """Whether each is a Chinese character; bool like ``codes``."""
    return (
        ((codes >= 0x3400) & (codes <= 0x9FFF))
        | ((codes >= 0xF900) & (codes <= 0xFAFF))
        | ((codes >= 0x20000) & (codes <= 0x3FFFF))
    )


def is_word_character(codes: np.ndarray) -> np.ndarray:
    """Whether each is a letter, a Chinese character or a digit, so no punctuation; bool like ``codes``."""
    return np.where(codes < _BMP, _letters()[np.minimum(codes, _BMP - 1)], is_han(codes))


@cache
def _letters() -> np.ndarray:
    return np.array([chr(code).isalnum() for code in range(_BMP)])
