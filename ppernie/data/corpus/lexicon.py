"""Lexicons of n-grams: sequences of tokens that stand together more often than chance would have it.

An n-gram's score is that of a t-test on its frequency (ERNIE-Gram, arXiv:2010.12148, section 3.2): with p its share
of all n-grams of its length, p0 the product of its tokens' shares and N the number of such n-grams,
t = (p - p0) / sqrt(p (1 - p) / N).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ppernie.data.corpus.counts import token_counts
from ppernie.data.corpus.fingerprint import fingerprint
from ppernie.errors import UserError
from ppernie.files import sync, writing

if TYPE_CHECKING:
    from ppernie.data.corpus import Corpus
    from ppernie.data.tokenizers import Tokenizer

# An n-gram is looked up as one number of so many bits.
_KEY_BITS = 63
# Tokens that are counted at once.
_BLOCK = 1 << 22
# Spreads keys evenly: 2**64 over the golden ratio (Knuth, The Art of Computer Programming, volume 3, section 6.4).
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_MOST_PARTS = 512
_METADATA = "lexicon"


@dataclass(frozen=True)
class Lexicon:
    """The likeliest n-grams of each length, which are numbered through: shorter ones first, likelier ones first.

    Attributes:
        ngrams: for the lengths 2, 3, ...: token ids int64 [count, length].
        vocab_size: of the tokenizer whose ids these are.
        tokenizer: its fingerprint.
    """

    ngrams: tuple[np.ndarray, ...]
    vocab_size: int
    tokenizer: str

    @classmethod
    def empty(cls, tokenizer: Tokenizer) -> Lexicon:
        """The lexicon by which every token stands alone."""
        return cls((), tokenizer.vocab_size, fingerprint(tokenizer))

    def __len__(self) -> int:
        return sum(map(len, self.ngrams))

    def __getitem__(self, index: int) -> np.ndarray:
        """The token ids of the n-gram of this number."""
        for ngrams in self.ngrams:
            if 0 <= index < len(ngrams):
                return ngrams[index]
            index -= len(ngrams)
        raise IndexError(index)

    @cached_property
    def _sorted(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each length the n-grams' keys in order, and their numbers."""
        tables, first = [], 0
        for ngrams in self.ngrams:
            keys = np.array([], np.int64)
            if len(ngrams):
                keys = _pack([ngrams[:, column] for column in range(ngrams.shape[1])], self.vocab_size)
            order = np.argsort(keys)
            tables.append((keys[order], first + order))
            first += len(ngrams)
        return tables

    def find(self, tokens: np.ndarray) -> np.ndarray:
        """The n-grams in a sequence.

        Args:
            tokens: ids [length].

        Returns:
            int64 [lengths of n-grams, length]: row r holds the number of the n-gram of r + 2 tokens that begins at
            each token, -1 where none does.
        """
        found = np.full((len(self.ngrams), len(tokens)), -1)
        for row, (keys, numbers) in enumerate(self._sorted):
            wanted = _pack(_columns(tokens, row + 2), self.vocab_size)
            if len(keys) and len(wanted):
                at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
                found[row, : len(wanted)] = np.where(keys[at] == wanted, numbers[at], -1)
        return found

    def check(self, tokenizer: Tokenizer) -> None:
        """Raises UserError where the lexicon was made with another tokenizer."""
        if fingerprint(tokenizer) != self.tokenizer:
            raise UserError(
                f"the lexicon was made with another tokenizer, of {self.vocab_size} tokens; this one has "
                f"{tokenizer.vocab_size}: make a lexicon from a corpus of this tokenizer (ppernie lexicon)"
            )

    def save(self, path: Path) -> None:
        """Writes one file, in one step. Raises UserError where the disk is full or the place not writable."""
        from safetensors.numpy import save

        tensors = {f"{row + 2}-grams": ngrams.astype(np.int32) for row, ngrams in enumerate(self.ngrams)}
        # In one entry, as the library writes several in any order: equal lexicons are equal files.
        metadata = {_METADATA: json.dumps({"vocab_size": self.vocab_size, "tokenizer": self.tokenizer})}
        temporary = path.with_name(f"{path.name}.tmp")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(save(tensors, metadata))
            sync(temporary)
            temporary.replace(path)


def open_lexicon(path: Path) -> Lexicon:
    """Reads what ``save`` wrote. Raises UserError where it is absent, damaged or something else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            metadata = json.loads((file.metadata() or {})[_METADATA])
            names = [f"{row + 2}-grams" for row in range(len(file.keys()))]
            ngrams = tuple(file.get_tensor(name).astype(np.int64) for name in names)
        lexicon = Lexicon(ngrams, metadata["vocab_size"], metadata["tokenizer"])
    except FileNotFoundError:
        raise UserError(f"{path}: no such lexicon; make it from a corpus with ppernie lexicon") from None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: damaged, or no lexicon: {error}; make it anew with ppernie lexicon") from error
    for row, table in enumerate(ngrams):
        if table.ndim != 2 or table.shape[1] != row + 2 or (table < 0).any() or (table >= lexicon.vocab_size).any():
            raise UserError(f"{path}: damaged, or no lexicon: its {row + 2}-grams; make it anew with ppernie lexicon")
    return lexicon


def build_lexicon(corpus: Corpus, tokenizer: Tokenizer, sizes: Sequence[int]) -> Lexicon:
    """The likeliest n-grams inside a corpus's sentences, without punctuation and special tokens.

    Memory is bounded; the counts of blocks lie on the disk meanwhile, 16 bytes for each n-gram that a block of
    4 M tokens has.

    Args:
        sizes: the most n-grams to keep of 2, 3, ... tokens; an n-gram is kept only where its score is above 0.

    Raises:
        UserError: the corpus is another tokenizer's, or nothing in it repeats; the disk is full.
    """
    corpus.check(tokenizer)
    if (longest := len(sizes) + 1) * tokenizer.vocab_size.bit_length() > _KEY_BITS:
        raise UserError(f"n-grams of {longest} tokens are too long for a vocabulary of {tokenizer.vocab_size}")
    apart = np.array([not any(map(str.isalnum, token)) for token in tokenizer.tokens])
    apart[[tokenizer.unk_id, tokenizer.sep_id, tokenizer.pad_id, tokenizer.cls_id, tokenizer.mask_id]] = True
    frequencies = _frequencies(corpus, apart)
    tables = tuple(_likeliest(corpus, n, size, apart, frequencies) for n, size in enumerate(sizes, start=2))
    if not any(map(len, tables)):
        raise UserError("no n-gram of this corpus is likelier than chance; a lexicon needs more text")
    return Lexicon(tables, tokenizer.vocab_size, fingerprint(tokenizer))


def t_scores(counts: np.ndarray, total: int, chances: np.ndarray) -> np.ndarray:
    """Scores float64 of n-grams with these counts among ``total``, and ``chances``, the products of their tokens'."""
    shares = counts / total
    with np.errstate(divide="ignore", invalid="ignore"):
        return (shares - chances) / np.sqrt(shares * (1 - shares) / total)


def _frequencies(corpus: Corpus, apart: np.ndarray) -> np.ndarray:
    """Each token's share of all that an n-gram may have, float64 [vocab_size]."""
    counts = token_counts(corpus, len(apart))
    counts[apart] = 0
    return counts / max(counts.sum(), 1)


def _likeliest(corpus: Corpus, n: int, size: int, apart: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Token ids int64 [at most size, n], the highest score first; of equal ones that with the lower ids."""
    keys, scores = np.array([], np.int64), np.array([])
    parts = min(_MOST_PARTS, -(-len(corpus.tokens) // _BLOCK))
    with tempfile.TemporaryDirectory() as folder:
        counted = _Counts(Path(folder), parts)
        counted.add(_ngrams(corpus, n, apart))
        for some, counts in counted:
            chances = np.prod(frequencies[_unpack(some, n, len(apart))], axis=1)
            keys = np.concatenate([keys, some])
            scores = np.concatenate([scores, t_scores(counts, counted.total, chances)])
            best = np.lexsort((keys, -scores))[:size]
            best = best[scores[best] > 0]
            keys, scores = keys[best], scores[best]
    return _unpack(keys, n, len(apart))


class _Counts:
    """How often each key occurs, summed a part of the keys at a time: between, they lie in a folder.

    Attributes:
        total: number of keys that were added.
    """

    def __init__(self, folder: Path, parts: int) -> None:
        self._files = [folder / str(part) for part in range(parts)]
        self.total = 0

    def add(self, blocks: Iterable[np.ndarray]) -> None:
        """Sorts the keys of all blocks, int64 each, into the parts' files."""
        with ExitStack() as stack, writing(self._files[0].parent):
            files = [stack.enter_context(path.open("wb")) for path in self._files]
            for block in blocks:
                self.total += len(block)
                rows = np.stack(np.unique(block, return_counts=True), axis=1)
                part = (rows[:, 0].astype(np.uint64) * _SPREAD >> np.uint64(32)) % np.uint64(len(files))
                rows = rows[np.argsort(part, kind="stable")]
                for file, own in zip(
                    files, np.split(rows, np.cumsum(np.bincount(part.astype(np.int64)))), strict=False
                ):
                    own.tofile(file)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for path in self._files:
            rows = np.fromfile(path, np.int64).reshape(-1, 2)
            keys, row_of = np.unique(rows[:, 0], return_inverse=True)
            yield keys, np.bincount(row_of, weights=rows[:, 1], minlength=len(keys))


def _ngrams(corpus: Corpus, n: int, apart: np.ndarray) -> Iterator[np.ndarray]:
    """Keys of all n-grams, block by block, that neither reach across sentences nor have a token that stands apart."""
    for start in range(0, len(corpus.tokens) - n + 1, _BLOCK):
        stop = min(start + _BLOCK + n - 1, len(corpus.tokens))
        tokens = np.asarray(corpus.tokens[start:stop], np.int64)
        begins = np.zeros(len(tokens), bool)
        first, last = np.searchsorted(corpus.sentences, [start, stop])
        begins[np.asarray(corpus.sentences[first:last]) - start] = True
        ordinary = ~apart[tokens]
        inside = np.logical_and.reduce(_columns(ordinary, n)) & ~np.logical_or.reduce(_columns(begins, n)[1:])
        yield _pack(_columns(tokens, n), len(apart))[inside]


def _columns(array: np.ndarray, n: int) -> list[np.ndarray]:
    """The first, second, ... elements of all runs of ``n``."""
    count = max(len(array) - n + 1, 0)
    return [array[column : column + count] for column in range(n)]


def _pack(columns: Sequence[np.ndarray], vocab_size: int) -> np.ndarray:
    """Token ids as one int64 key, in the same order."""
    keys = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        keys = (keys << vocab_size.bit_length()) | column
    return keys


def _unpack(keys: np.ndarray, n: int, vocab_size: int) -> np.ndarray:
    """The token ids [keys, n] of keys."""
    bits = vocab_size.bit_length()
    shifts = bits * np.arange(n)[::-1]
    return (keys[:, None] >> shifts) & ((1 << bits) - 1)
