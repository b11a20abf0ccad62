"""A corpus as it is read: memory-mapped, so that any sample costs the same and processes share the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ppernie.data.corpus.arrays import array_types, file_of
from ppernie.data.corpus.draws import Draws
from ppernie.data.corpus.fingerprint import fingerprint
from ppernie.data.tokenizers import Tokenizer, open_tokenizer
from ppernie.errors import UserError

INDEX = "corpus.json"
TOKENIZER = "tokenizer"


class Index(BaseModel):
    """What ``corpus.json`` says; it is written last, so a folder with it is whole.

    Attributes:
        tokenizer: the fingerprint of the one that made the ids.
        vocab_size: its tokens.
        sources: names in the order of their numbers.
        weights: how often their samples are drawn.
        facts: runs of facts of one weight, how many of which; nothing in corpora of earlier versions, where all are
            drawn alike.
        sizes: elements of each array.
        statistics: what the building counted, for people.
        digest: of the arrays, which tells one corpus from another; empty in those made before there was one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Literal[1] = 1
    tokenizer: str
    vocab_size: int
    sources: list[str]
    weights: list[float]
    facts: list[tuple[int, float]] = []
    sizes: dict[str, int]
    statistics: dict[str, float]
    digest: str = ""


class Fact(NamedTuple):
    """A triple and a sentence that may state it: tokens of each, and where the sentence's words begin (uint8)."""

    head: np.ndarray
    relation: np.ndarray
    tail: np.ndarray
    sentence: np.ndarray
    words: np.ndarray


class Facts:
    """The facts of a corpus, each found in one step."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self._arrays["fact_sentences"]) - 1

    def __getitem__(self, number: int) -> Fact:
        if not 0 <= number < len(self):
            raise IndexError(f"fact {number} of {len(self)}")
        arrays = self._arrays
        bounds = arrays["fact_name_offsets"][3 * number : 3 * number + 4]
        head, relation, tail = (
            arrays["fact_names"][start:stop] for start, stop in zip(bounds[:-1], bounds[1:], strict=True)
        )
        start, stop = arrays["fact_sentences"][number : number + 2]
        return Fact(head, relation, tail, arrays["fact_tokens"][start:stop], arrays["fact_words"][start:stop])

    def sizes(self, numbers: np.ndarray) -> np.ndarray:
        """Tokens of each of int [n] facts, of its names and its sentence together."""
        names, sentences = self._arrays["fact_name_offsets"], self._arrays["fact_sentences"]
        return names[3 * numbers + 3] - names[3 * numbers] + sentences[numbers + 1] - sentences[numbers]


class Corpus:
    """A folder that ``ppernie preprocess`` wrote.

    Attributes:
        tokens: uint16 or uint32 [tokens], all documents one after the other, without special tokens.
        words: uint8 [tokens], 1 where a word begins.
        entities: uint8 [tokens], 1 where a name begins, 2 inside of one, else 0.
        sentences: int64 [sentences + 1], offsets into the tokens.
        documents: int64 [documents + 1], offsets into the sentences.
        source_of: uint8 [documents].
        sources, weights: names and weights by number.
        facts: triples beside sentences.
    """

    def __init__(self, path: Path, index: Index, arrays: dict[str, np.ndarray]) -> None:
        self.path, self._index = path, index
        self.tokens, self.words, self.entities = arrays["tokens"], arrays["words"], arrays["entities"]
        self.sentences, self.documents = arrays["sentences"], arrays["documents"]
        self.source_of = arrays["source_of"]
        self.sources, self.weights = tuple(index.sources), tuple(index.weights)
        self.vocab_size, self.statistics = index.vocab_size, index.statistics
        self.facts = Facts(arrays)

    def check(self, tokenizer: Tokenizer) -> None:
        """Raises UserError where another tokenizer made the ids."""
        if fingerprint(tokenizer) != self._index.tokenizer:
            raise UserError(
                f"{self.path}: was made with another tokenizer, of {self.vocab_size} tokens; run ppernie preprocess "
                "with this one, or train with that one"
            )

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the ids."""
        return open_tokenizer(self.path / TOKENIZER)

    def windows(self, length: int) -> np.ndarray:
        """int64 [n, 2]: ranges of sentences, each within one document, filled up to ``length`` tokens in order.

        A sentence that is longer by itself is a window of its own.
        """
        found, offsets = [], np.asarray(self.sentences)
        first, last = np.asarray(self.documents[:-1]), np.asarray(self.documents[1:])
        # The next window of all documents at once, as long as they go on.
        while len(first):
            end = np.searchsorted(offsets, offsets[first] + length, "right") - 1
            end = np.clip(end, first + 1, last)
            found.append(np.stack([first, end], 1))
            first, last = end[end < last], last[end < last]
        windows = np.concatenate(found)
        return windows[np.argsort(windows[:, 0])]

    def sizes(self, windows: np.ndarray) -> np.ndarray:
        """Tokens of each of int [n, 2] ranges of sentences."""
        return np.diff(self.sentences[windows])[:, 0]

    def draws(self, sentences: np.ndarray, samples: np.ndarray | int = 1) -> Draws:
        """Samples drawn as the sources' weights say.

        Args:
            sentences: int [n], a sentence of each text, such as the first of a window.
            samples: int [n], how many samples each text makes.

        Raises:
            UserError: no text is of a source with a weight above 0.
        """
        documents = np.searchsorted(self.documents, sentences, "right") - 1
        return Draws(np.asarray(self.source_of)[documents], self.weights, samples)

    def fact_draws(self) -> Draws:
        """Facts drawn as the weights of their sources say. Raises UserError where none is of a weight above 0."""
        counts, weights = zip(*(self._index.facts or [(len(self.facts), 1.0)]), strict=True)
        return Draws(np.repeat(np.arange(len(counts)), counts), weights)


def open_corpus(path: str | Path) -> Corpus:
    """Opens a corpus without reading it.

    Raises:
        UserError: there is none, its building has not ended, or a file is not as long as it must be.
    """
    path = Path(path)
    index = _read_index(path)
    arrays = {}
    for name, dtype in array_types(index.vocab_size).items():
        file, size = file_of(path, name), index.sizes[name]
        found = file.stat().st_size if file.is_file() else -1
        if found != size * dtype.itemsize:
            what = "is absent" if found < 0 else f"has {found:,} bytes of {size * dtype.itemsize:,}"
            raise UserError(f"{file}: {what}; the corpus is damaged: run ppernie preprocess again")
        arrays[name] = np.memmap(file, dtype, "r") if size else np.empty(0, dtype)
    return Corpus(path, index, arrays)


def _read_index(path: Path) -> Index:
    file = path / INDEX
    if not file.is_file():
        raise UserError(f"{path}: holds no corpus (no {INDEX}); make one with ppernie preprocess, and let it end")
    try:
        index = Index.model_validate_json(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); make it readable") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise UserError(f"{file}: is broken ({where} {problem['msg']}); run ppernie preprocess again") from None
    if index.sizes.keys() != array_types(index.vocab_size).keys() or min(index.sizes.values()) < 0:
        raise UserError(f"{file}: does not name the arrays of a corpus; run ppernie preprocess again")
    return index
