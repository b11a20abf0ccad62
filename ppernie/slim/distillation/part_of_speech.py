"""Words of like kind to put into each other's place."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ppernie.data.corpus.dictionary import jieba_entries
from ppernie.data.corpus.segmentation import DictionarySegmenter
from ppernie.slim.distillation.augmentation import Place

# Kinds whose words carry the meaning of a text, by their first letters: nouns and names, verbs, adjectives, adverbs,
# idioms and set phrases.
_OPEN = ("n", "v", "a", "d", "i", "l")


@functools.cache
def _dictionary() -> tuple[DictionarySegmenter, dict[str, str]]:
    """What cuts texts into words, and the parts of speech of words of open kinds."""
    entries = list(jieba_entries())
    return DictionarySegmenter(entries), {entry.word: entry.tag for entry in entries if entry.tag.startswith(_OPEN)}


class SameKind:
    """Finds words of the same part of speech, by jieba's dictionary, among those of the given texts.

    Args:
        texts: of the training set, so that what is put in is of their kind.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._segmenter, self._tags = _dictionary()
        self._spans = dict(zip(texts, self._cut(texts), strict=True))
        found: dict[str, set[str]] = defaultdict(set)
        for text, spans in self._spans.items():
            for start, end in spans:
                if (word := text[start:end]) in self._tags:
                    found[self._tags[word]].add(word)
        self._words = {tag: sorted(words) for tag, words in found.items()}

    def __call__(self, text: str) -> list[Place]:
        places = []
        for start, end in self._spans.get(text) or self._cut([text])[0]:
            word = text[start:end]
            others = self._words.get(self._tags.get(word, ""), [])
            if len(others) > 1:
                places.append(Place(start, end, [other for other in others if other != word]))
        return places

    def _cut(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Where the words of each text stand."""
        # Line ends separate sentences for the segmenter, which leaves them out.
        begins, _ = self._segmenter([text.replace("\n", " ") for text in texts])
        ends = np.cumsum([len(text) for text in texts])
        found = []
        for text, end in zip(texts, ends, strict=True):
            starts = np.flatnonzero(begins[end - len(text) : end]).tolist()
            found.append(list(zip(starts, [*starts[1:], len(text)], strict=True)))
        return found
