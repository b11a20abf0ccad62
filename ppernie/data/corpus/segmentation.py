"""Where words begin, and which of them name something."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ppernie.data.corpus.dictionary import Entry, jieba_entries, lexicon_entries
from ppernie.data.corpus.phrases import Phrases
from ppernie.data.corpus.text import code_points, is_han, is_word_character
from ppernie.errors import UserError

# jieba's parts of speech for persons, places, organisations and other names.
_NAMES = ("nr", "ns", "nt", "nz")


class Segmenter(Protocol):
    """Cuts many sentences into words."""

    def __call__(self, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Of all characters, one sentence after the other: bool [n], whether a word begins here, and uint8 [n], 1
        where a name begins, 2 inside of one, 0 elsewhere."""
        ...


def open_segmenter(name: str, lexicon: Path | None) -> Segmenter:
    """The segmenter ``jieba``, or the Python function ``package.module:function``.

    A function takes a sentence and returns its words, whole and in order, or pairs of a word and its part of speech
    (``jieba.posseg:lcut`` is one). ``lexicon`` is a file of words for ``jieba`` to know too.

    Raises:
        UserError: there is no such function, or the lexicon is broken.
    """
    if name == "jieba":
        return DictionarySegmenter(jieba_entries(), lexicon_entries(lexicon) if lexicon else ())
    if lexicon:
        raise UserError(f"lexicon goes with segmenter: jieba, not with {name}; give your words to that one itself")
    module, _, function = name.partition(":")
    try:
        return FunctionSegmenter(name, getattr(importlib.import_module(module), function))
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"segmenter {name!r}: {error}; it is jieba, or package.module:function") from error


class DictionarySegmenter:
    """The cut of highest probability over a dictionary, with the words' frequencies taken as independent.

    The words are those of ``jieba.cut(sentence, HMM=False)``, ties included, found for all sentences at once:
    characters that are equally far from the end of their stretch are decided together. Beyond jieba's ASCII, letters
    of any alphabet that stand together make one word.

    Args:
        entries: the dictionary.
        more: words that are added or replaced; one without a frequency gets the lowest at which it stays whole.
    """

    def __init__(self, entries: Iterable[Entry], more: Iterable[Entry] = ()) -> None:
        words = {entry.word: entry for entry in entries}
        self._learn(words)
        more = list(more)
        if more:
            rare = [entry for entry in more if entry.frequency is None]
            words |= {entry.word: entry for entry in more if entry.frequency is not None}
            words |= {
                entry.word: entry._replace(frequency=int(math.exp(score) * self._total) + 1)
                for entry, score in zip(rare, self._scores_of([entry.word for entry in rare]), strict=True)
            }
            self._learn(words)

    def _learn(self, entries: dict[str, Entry]) -> None:
        self._total = sum(entry.frequency or 0 for entry in entries.values())
        kept = [entry for entry in entries.values() if entry.frequency]
        text = "".join(entry.word for entry in kept)
        lengths = [len(entry.word) for entry in kept]
        self._phrases = Phrases(code_points(text).astype(np.int64), np.cumsum([0, *lengths]))
        # The logarithm of an unknown character stands last, where index -1 finds it.
        total = math.log(self._total)
        self._log = np.array([*(math.log(entry.frequency or 1) for entry in kept), 0.0]) - total
        self._is_name = np.array([*(entry.tag.startswith(_NAMES) for entry in kept), False])

    def __call__(self, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        codes = code_points("\n".join(sentences))
        begins, names = self._cut(codes)
        # A sentence may hold a line feed of its own.
        inside = np.ones(len(codes), bool)
        ends = np.cumsum([len(sentence) + 1 for sentence in sentences], dtype=np.int64)
        inside[ends[:-1] - 1] = False
        return begins[inside], names[inside]

    def _cut(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        stretch = _in_stretch(codes)
        following, word, _ = self._paths(codes, stretch)
        begins = ~stretch
        frontier = np.flatnonzero(stretch & ~np.concatenate([[False], stretch[:-1]]))
        while len(frontier):
            begins[frontier] = True
            frontier = following[frontier]
            frontier = frontier[frontier < len(codes)]
            frontier = frontier[stretch[frontier]]
        number = np.cumsum(begins) - 1
        names = self._is_name[word[begins]].astype(np.uint8)[number]
        names[~begins] *= 2
        letters = begins & (following == np.arange(1, len(codes) + 1)) & is_word_character(codes) & ~is_han(codes)
        begins[1:] &= ~(letters[1:] & letters[:-1])
        return begins, names

    def _scores_of(self, words: Sequence[str]) -> np.ndarray:
        """The log-probability of the best cut of each word."""
        codes = code_points("\n".join(words))
        _, _, best = self._paths(codes, codes != ord("\n"))
        return best[np.cumsum([0, *(len(word) + 1 for word in words)])[:-1]]

    def _paths(self, codes: np.ndarray, stretch: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each place: where the next word begins, which word stands here (-1: none known), and the best score."""
        count = len(codes)
        places = np.arange(count)
        following, word, best = places + 1, np.full(count, -1), np.zeros(count + 1)
        ends = np.minimum.accumulate(np.where(stretch, count, places)[::-1])[::-1]
        distance = ends - places  # 0 outside of the stretches

        # All words by their starts, starts by their distance from the end, at each start the shorter ones first.
        walked = list(self._phrases.walk(np.where(stretch, codes, 0).astype(np.int64), np.flatnonzero(stretch)))
        matches = np.zeros(count, np.int64)
        for starts, _ in walked:
            matches[starts] += 1
        # An unknown character is a word where no word begins, and only there.
        unknown = np.flatnonzero(stretch & (matches == 0))
        matches[unknown] = 1
        order = np.argsort(distance.astype(np.uint32), kind="stable")
        slot = np.empty(count, np.int64)
        slot[order] = np.cumsum(matches[order]) - matches[order]
        first = slot[order]
        edge_word, edge_end = np.empty(matches.sum(), np.int64), np.empty(matches.sum(), np.int64)
        for length, (starts, phrases) in enumerate([(unknown, np.full(len(unknown), -1)), *walked]):
            edge_word[slot[starts]] = phrases
            edge_end[slot[starts]] = starts + max(length, 1)
            slot[starts] += 1
        score = self._log[edge_word]

        steps = np.cumsum(np.bincount(distance))
        for low, high in zip(steps[:-1], steps[1:], strict=True):
            if low == high:
                continue
            here, bounds = order[low:high], first[low:high]
            begin, end = bounds[0], bounds[-1] + matches[here[-1]]
            value = score[begin:end] + best[edge_end[begin:end]]
            highest = np.maximum.reduceat(value, bounds - begin)
            best[here] = highest
            # Of equally probable cuts the one with the longer first word is taken.
            is_best = value == np.repeat(highest, matches[here])
            chosen = begin + np.maximum.reduceat(np.where(is_best, np.arange(end - begin), -1), bounds - begin)
            following[here], word[here] = edge_end[chosen], edge_word[chosen]
        return following, word, best


def _in_stretch(codes: np.ndarray) -> np.ndarray:
    """Whether jieba looks for words at the character: Chinese, ASCII letters and digits, and +#&._%-."""
    ascii_part = np.zeros(128, bool)
    ascii_part[[c for c in range(128) if chr(c).isalnum() or chr(c) in "+#&._%-"]] = True
    return ((codes >= 0x4E00) & (codes <= 0x9FD5)) | ((codes < 128) & ascii_part[np.minimum(codes, 127)])


class FunctionSegmenter:
    """A function from a sentence to its words, or to pairs of a word and its part of speech."""

    def __init__(self, name: str, function: Callable[[str], Iterable[Any]]) -> None:
        self._name = name
        self._function = function

    def __call__(self, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        words = [word for sentence in sentences for word in self._words(sentence)]
        lengths = np.array([len(word) for word, _ in words], np.int64)
        starts = np.cumsum(lengths) - lengths
        begins = np.zeros(lengths.sum(), bool)
        begins[starts] = True
        names = np.repeat([tag.startswith(_NAMES) for _, tag in words], lengths).astype(np.uint8)
        names[~begins] *= 2
        return begins, names

    def _words(self, sentence: str) -> list[tuple[str, str]]:
        words = [(item, "") if isinstance(item, str) else tuple(item) for item in self._function(sentence)]
        if "".join(word for word, _ in words) != sentence or any(not word for word, _ in words):
            raise UserError(
                f"segmenter {self._name}: its words do not make up the sentence {sentence[:40]!r}; it must return "
                "every character, spaces too, in order"
            )
        return words
