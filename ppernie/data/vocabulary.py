"""A vocabulary of characters, for runs that start from text alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

SPECIAL_TOKENS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]")


def character_vocabulary(texts: Iterable[str], min_count: int) -> list[str]:
    """Special tokens, then the characters that occur at least ``min_count`` times, most frequent first."""
    counts = Counter(character for text in texts for character in text)
    found = [character for character, count in counts.most_common() if count >= min_count]
    return [*SPECIAL_TOKENS, *(character for character in found if not character.isspace())]
