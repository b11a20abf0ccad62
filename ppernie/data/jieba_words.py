"""Words and their kinds, from the dictionary that jieba installs.

The dictionary holds 349,046 entries: Chinese words with frequency and part of speech. The kind of a word is a coarse
form of its part of speech; the split is by word, so no word of one part occurs in another.
"""

from __future__ import annotations

import hashlib
from typing import Any

from ppernie.data.corpus.dictionary import jieba_entries
from ppernie.errors import UserError

# Part-of-speech tags of the dictionary, by their first letters; the longest prefix decides.
KINDS = {
    "n": "common noun",
    "nr": "person",
    "ns": "place",
    "nt": "organisation",
    "nz": "other",
    "i": "idiom",
    "l": "idiom",
    "v": "verb",
    "a": "adjective",
    "m": "number",
}
SPLITS = ("train", "dev", "test")


def load(split: str | None) -> list[dict[str, Any]]:
    """Rows ``word`` and ``kind`` of a part: train (90%), dev (5%) or test (5%).

    Raises:
        UserError: there is no such split.
    """
    if split not in SPLITS:
        raise UserError(f"jieba_words has the splits {', '.join(SPLITS)}; set split to one of them")
    return [{"word": word, "kind": kind_of(tag)} for word, _, tag in jieba_entries() if _split(word) == split]


def kind_of(tag: str) -> str:
    """Kind of a part-of-speech tag such as ``nrt``."""
    matches = [prefix for prefix in KINDS if tag.startswith(prefix)]
    return KINDS[max(matches, key=len)] if matches else "other"


def _split(word: str) -> str:
    share = int.from_bytes(hashlib.blake2b(word.encode("utf-8"), digest_size=4).digest(), "big") % 20
    return {0: "dev", 1: "test"}.get(share, "train")
