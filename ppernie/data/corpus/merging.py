"""The parts of a corpus put together, copies of documents left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ppernie.data.corpus.arrays import TOKENS, TYPES, ArrayWriter, file_of
from ppernie.data.corpus.parts import NO_DIGEST, STATISTICS, PairPart
from ppernie.data.corpus.reading import Part

_BY_TOKEN = (("tokens", None), ("words", 1), ("entities", 1))


def merge(
    parts: Sequence[tuple[Part | PairPart, Path]], target: Path, token_type: type[np.unsignedinteger]
) -> tuple[dict[str, int], Counter[str]]:
    """Writes the arrays of the corpus, part by part in order; of equal documents the first stays.

    Returns:
        Elements of each array, and what was counted.

    Raises:
        UserError: the disk is full.
    """
    kept = _first_of_equal([folder for _, folder in parts])
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    with ArrayWriter(target) as writer:
        for name in ("sentences", "documents", "fact_sentences", "fact_name_offsets"):
            writer.append(name, np.zeros(1, np.int64))
            sizes[name] += 1
        for name in ("tokens", "words", "entities", "source_of", "fact_sentence_of", "fact_names", "fact_tokens"):
            writer.append(name, np.empty(0))
        writer.append("fact_words", np.empty(0))
        for (part, folder), keep in zip(parts, kept, strict=True):
            counts.update(json.loads((folder / STATISTICS).read_text(encoding="utf-8")))
            _add_documents(part, folder, keep, writer, sizes, counts, np.dtype(token_type).itemsize)
            _add_facts(folder, keep if isinstance(part, Part) else None, writer, sizes, np.dtype(token_type))
    counts["documents"], counts["facts"] = sizes["documents"] - 1, sizes["fact_sentence_of"]
    counts["sentences"], counts["tokens"] = sizes["sentences"] - 1, sizes["tokens"]
    return {name: sizes[name] for name in (*TOKENS, *TYPES)}, counts


def _read(folder: Path, name: str, dtype: type | np.dtype = np.int64) -> np.ndarray:
    path = file_of(folder, name)
    return np.fromfile(path, dtype) if path.exists() else np.empty(0, dtype)


def _first_of_equal(folders: Sequence[Path]) -> list[np.ndarray]:
    """For each part: whether each document has sentences and is the first of its kind."""
    digests = [_read(folder, "digests", np.uint64) for folder in folders]
    every = np.concatenate(digests)
    first = np.zeros(len(every), bool)
    first[np.unique(every, return_index=True)[1]] = True
    first |= every == NO_DIGEST
    bounds = np.cumsum([len(part) for part in digests])[:-1]
    return [part & (_read(folder, "counts") > 0) for part, folder in zip(np.split(first, bounds), folders, strict=True)]


def _add_documents(
    part: Part | PairPart,
    folder: Path,
    keep: np.ndarray,
    writer: ArrayWriter,
    sizes: Counter[str],
    counts: Counter[str],
    token_bytes: int,
) -> None:
    sentence_counts, lengths = _read(folder, "counts"), _read(folder, "lengths")
    sentences = np.concatenate([[0], np.cumsum(sentence_counts)])
    tokens = np.concatenate([[0], np.cumsum(lengths)])
    counts["documents repeated"] += int(((sentence_counts > 0) & ~keep).sum())
    # Runs of documents that stay are copied together.
    edges = np.flatnonzero(np.diff(keep.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    for first, last in edges:
        low, high = sentences[first], sentences[last]
        for name, width in _BY_TOKEN:
            size = token_bytes if width is None else width
            writer.append_range(name, file_of(folder, name), int(tokens[low]) * size, int(tokens[high]) * size)
        writer.append("sentences", tokens[low + 1 : high + 1] - tokens[low] + sizes["tokens"])
        writer.append("documents", sentences[first + 1 : last + 1] - low + sizes["sentences"] - 1)
        writer.append("source_of", np.full(last - first, part.source, np.uint8))
        for name, _ in _BY_TOKEN:
            sizes[name] += int(tokens[high] - tokens[low])
        sizes["sentences"] += int(high - low)
        sizes["documents"] += int(last - first)
        sizes["source_of"] += int(last - first)


def _add_facts(
    folder: Path, keep: np.ndarray | None, writer: ArrayWriter, sizes: Counter[str], token_type: np.dtype
) -> None:
    """The facts of the documents that stay."""
    documents = _read(folder, "fact_documents")
    if not len(documents):
        return
    stays = np.ones(len(documents), bool) if keep is None else keep[documents]
    name_lengths, lengths = _read(folder, "fact_name_lengths").reshape(-1, 3), _read(folder, "fact_lengths")
    name_stays = np.repeat(stays, name_lengths.sum(1))
    names = _read(folder, "fact_names", token_type)[name_stays]
    writer.append("fact_names", names)
    writer.append("fact_name_offsets", np.cumsum(name_lengths[stays].ravel()) + sizes["fact_names"])
    inside = np.repeat(stays, lengths)
    writer.append("fact_tokens", _read(folder, "fact_tokens", token_type)[inside])
    writer.append("fact_words", _read(folder, "fact_words", np.uint8)[inside])
    writer.append("fact_sentences", np.cumsum(lengths[stays]) + sizes["fact_tokens"])
    count = int(stays.sum())
    writer.append("fact_sentence_of", np.arange(count, dtype=np.int64) + sizes["fact_sentence_of"])
    sizes["fact_names"] += len(names)
    sizes["fact_name_offsets"] += 3 * count
    for name in ("fact_tokens", "fact_words"):
        sizes[name] += int(inside.sum())
    sizes["fact_sentences"] += count
    sizes["fact_sentence_of"] += count
