"""The parts of a corpus put together, copies of documents left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ppernie.data.corpus.arrays import OFFSETS, ArrayWriter, array_types, file_of
from ppernie.data.corpus.parts import NO_DIGEST, STATISTICS, PairPart
from ppernie.data.corpus.reading import Part

# Sentences or facts that are held at a time: a part is as large as its longest document.
_BLOCK = 2**16


def merge(
    parts: Sequence[tuple[Part | PairPart, Path]], folder: Path, vocab_size: int
) -> tuple[dict[str, int], list[int], Counter[str]]:
    """Writes the arrays of the corpus, part by part in order; of equal documents the first stays.

    Of all documents 16 bytes are held, and of sentences and facts a block.

    Returns:
        Elements of each array, facts of each part, and what was counted.

    Raises:
        UserError: the disk is full.
    """
    counts: Counter[str] = Counter()
    facts = []
    kept = _first_of_equal([source for _, source in parts])
    with ArrayWriter(folder) as writer:
        target = _Target(writer, array_types(vocab_size))
        for (part, source), keep in zip(parts, kept, strict=True):
            counts.update(json.loads((source / STATISTICS).read_text(encoding="utf-8")))
            if isinstance(part, Part):
                counts["words"] += int(_read(source, "word_counts")[keep].sum())
                counts["documents repeated"] += int((_read(source, "sentence_counts")[~keep] > 0).sum())
                _add_documents(part, source, keep, target)
            before = target.sizes["fact_sentences"]
            _add_facts(source, keep if isinstance(part, Part) else None, target)
            facts.append(target.sizes["fact_sentences"] - before)
    sizes = target.sizes
    counts["documents"], counts["sentences"] = sizes["documents"] - 1, sizes["sentences"] - 1
    counts["tokens"], counts["facts"] = sizes["tokens"], sizes["fact_sentences"] - 1
    return sizes, facts, counts


class _Target:
    """The arrays of the corpus; ``sizes`` are their elements so far."""

    def __init__(self, writer: ArrayWriter, types: dict[str, np.dtype]) -> None:
        self._writer, self.types = writer, types
        self.sizes = dict.fromkeys(types, 0)
        for name in types:
            self.append(name, np.zeros(int(name in OFFSETS)))

    def append(self, name: str, values: np.ndarray) -> None:
        """Adds values at the end of an array."""
        self._writer.append(name, values.astype(self.types[name], copy=False))
        self.sizes[name] += len(values)

    def append_ends(self, name: str, lengths: np.ndarray, start: int) -> None:
        """Adds the offsets of rows of these lengths, the first of which begins at ``start``."""
        for block in _blocks(lengths):
            ends = start + np.cumsum(block)
            self.append(name, ends)
            start = int(ends[-1])

    def copy(self, name: str, source: Path, start: int, stop: int) -> None:
        """Adds the elements [start, stop) of a part's array, however many they are."""
        width = self.types[name].itemsize
        self._writer.append_range(name, file_of(source, name), start * width, stop * width)
        self.sizes[name] += stop - start


def _read(folder: Path, name: str, dtype: type | np.dtype = np.int64) -> np.ndarray:
    """An array, not yet in memory; an absent one is empty."""
    path = file_of(folder, name)
    return np.memmap(path, dtype, "r") if path.exists() and path.stat().st_size else np.empty(0, dtype)


def _blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    return (values[start : start + _BLOCK] for start in range(0, len(values), _BLOCK))


def _first_of_equal(folders: Sequence[Path]) -> list[np.ndarray]:
    """For each part: whether each document has sentences and is the first of its kind."""
    digests = [np.array(_read(folder, "digests", np.uint64)) for folder in folders]
    every = np.concatenate(digests)
    filled = np.flatnonzero(np.concatenate([_read(folder, "sentence_counts") > 0 for folder in folders]))
    first = np.zeros(len(every), bool)
    first[filled[np.unique(every[filled], return_index=True)[1]]] = True
    first[filled[every[filled] == NO_DIGEST]] = True
    return np.split(first, np.cumsum([len(part) for part in digests])[:-1])


def _add_documents(part: Part, source: Path, keep: np.ndarray, target: _Target) -> None:
    sentences = np.concatenate([[0], np.cumsum(_read(source, "sentence_counts"))])
    tokens = np.concatenate([[0], np.cumsum(_read(source, "token_counts"))])
    lengths = _read(source, "lengths")
    # Runs of documents that stay are copied together.
    edges = np.flatnonzero(np.diff(keep, prepend=False, append=False)).reshape(-1, 2)
    for first, last in edges:
        low, high = sentences[first], sentences[last]
        target.append("documents", sentences[first + 1 : last + 1] - low + target.sizes["sentences"] - 1)
        target.append("source_of", np.full(last - first, part.source))
        target.append_ends("sentences", lengths[low:high], target.sizes["tokens"])
        for name in ("tokens", "words", "entities"):
            target.copy(name, source, int(tokens[first]), int(tokens[last]))


def _add_facts(source: Path, keep: np.ndarray | None, target: _Target) -> None:
    """The facts of the documents that stay."""
    names_read = tokens_read = 0
    names, tokens = (_read(source, name, target.types[name]) for name in ("fact_names", "fact_tokens"))
    words = _read(source, "fact_words", np.uint8)
    documents, lengths = _read(source, "fact_documents"), _read(source, "fact_lengths")
    name_lengths = _read(source, "fact_name_lengths").reshape(-1, 3)
    for start in range(0, len(documents), _BLOCK):
        rows = slice(start, start + _BLOCK)
        stays = np.ones(len(documents[rows]), bool) if keep is None else keep[documents[rows]]
        inside = np.repeat(stays, lengths[rows])
        block = slice(tokens_read, tokens_read := tokens_read + len(inside))
        target.append_ends("fact_sentences", lengths[rows][stays], target.sizes["fact_tokens"])
        target.append("fact_tokens", tokens[block][inside])
        target.append("fact_words", words[block][inside])
        inside = np.repeat(stays, name_lengths[rows].sum(1))
        block = slice(names_read, names_read := names_read + len(inside))
        target.append_ends("fact_name_offsets", name_lengths[rows][stays].ravel(), target.sizes["fact_names"])
        target.append("fact_names", names[block][inside])
