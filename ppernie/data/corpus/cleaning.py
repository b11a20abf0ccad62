"""What a raw text loses on its way into a corpus (ERNIE 3.0, section 3.3), and where its sentences end."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

# Runs longer than this are no repetition by mistake; the paper collapses 0 < N < 100.
LONGEST_REPEAT = 99
# A sentence without an end is cut here, so that none fills the memory.
LONGEST_SENTENCE = 2048

# Punctuation, symbols and white space at the second; letters at the fourth: "book" and "天天" are spelling, as are
# the zeros of 1000, for which digits stay.
_REPEATED = re.compile(r"([\W_])\1+|([^\W\d_])\2{3,}")
_SPACES = re.compile(r"\s+")
_CLOSING = "[”’」』》）】\"')\\]]*"
_ABBREVIATIONS = ["Mr", "Ms", "Mrs", "Dr", "St", "vs", "No", "etc", "Prof"]
_NOT_ABBREVIATED = r"(?<!\b[A-Z]\.)" + "".join(rf"(?<!\b{word}\.)" for word in _ABBREVIATIONS)
_SENTENCE_END = re.compile(
    rf"[。！？…]+{_CLOSING}"
    rf"|[!?]+{_CLOSING}(?=\s|$|[^\x00-\x7f])"
    rf"|\.{_NOT_ABBREVIATED}{_CLOSING}(?=\s+[^\sa-z])"
)


def collapse_characters(text: str) -> str:
    """Leaves one of a repeated punctuation mark or space, and of a letter that stands four times or more."""
    return _REPEATED.sub(lambda match: match[1] or match[2], text)


def split_sentences(paragraph: str) -> Iterator[str]:
    """Sentences of Chinese or English, without white space at their ends and with single spaces inside.

    One ends after 。！？… and the closing marks that follow, after ! and ? before a space or Chinese, after a full stop
    before a word that is not in lower case, unless the stop ends an initial or a usual abbreviation, and after
    ``LONGEST_SENTENCE`` characters.
    """
    paragraph = _SPACES.sub(" ", paragraph)
    start = 0
    for end in [*(match.end() for match in _SENTENCE_END.finditer(paragraph)), len(paragraph)]:
        sentence = paragraph[start:end].strip()
        start = end
        for cut in range(0, len(sentence), LONGEST_SENTENCE):
            yield sentence[cut : cut + LONGEST_SENTENCE]


class Repeats:
    """Collapses runs of 1 to 99 sentences that follow on themselves; ``dropped`` counts the sentences that went.

    Only the last few hundred sentences are held, so that a document may be of any length.
    """

    def __init__(self) -> None:
        self.dropped = 0

    def collapse(self, sentences: Iterable[str]) -> Iterator[str]:
        """Of one document."""
        held: list[str] = []
        known: set[str] = set()
        for sentence in sentences:
            held.append(sentence)
            if sentence in known and (run := _repeated_run(held)):
                del held[-run:]
                self.dropped += run
            known.add(sentence)
            if len(held) > 4 * LONGEST_REPEAT:
                yield from held[: -2 * LONGEST_REPEAT]
                held = held[-2 * LONGEST_REPEAT :]
                known = set(held)
        yield from held


def _repeated_run(held: list[str]) -> int:
    """Length of the shortest run at the end that the run before it equals; 0 where there is none."""
    for run in range(1, min(LONGEST_REPEAT, len(held) // 2) + 1):
        if held[-1] == held[-1 - run] and held[-run:] == held[-2 * run : -run]:
            return run
    return 0


class Longest:
    """The three longest sentences of a document, by which copies of it are told."""

    def __init__(self) -> None:
        self._sentences: list[str] = []

    def add(self, sentence: str) -> None:
        """Takes the next sentence."""
        if len(self._sentences) < 3 or len(sentence) > len(self._sentences[-1]):
            self._sentences = sorted([*self._sentences, sentence], key=len, reverse=True)[:3]

    def digest(self) -> int:
        """Their MD5 digests summed, the low 64 bits of it."""
        digests = (hashlib.md5(s.encode("utf-8", "surrogatepass")).digest() for s in self._sentences)
        return sum(int.from_bytes(digest, "little") for digest in digests) % 2**64
