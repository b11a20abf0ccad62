"""Which triples of a knowledge graph a sentence may state: distant supervision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ppernie.data.corpus.encoding import SentenceEncoder
from ppernie.data.corpus.phrases import Phrases
from ppernie.data.corpus.triples import Triple
from ppernie.errors import UserError

# Sentences that list more names state few of their triples, and would cost their square.
MOST_NAMES = 64


class Graph:
    """Triples of one or several graphs by the tokens of their names.

    Args:
        graphs: triples of each, and what it is called.

    Attributes:
        titles: of the graphs.
        tokens: int64, the names one after the other.
        offsets: int64 [names + 1] into them.
        triples: int64 [n, 3], head, relation and tail as indices of names; each triple once.
        triple_in: bool [n, graphs], which graphs have a triple.
        name_in: bool [names, graphs], which have a name as a head or a tail.

    Raises:
        UserError: no triple of a graph has a head and another tail that the tokenizer knows.
    """

    def __init__(self, graphs: Sequence[tuple[str, Iterable[Triple]]], encoder: SentenceEncoder, unk_id: int) -> None:
        self.titles = [title for title, _ in graphs]
        index: dict[str, int] = {}
        rows, owners = [], []
        for number, (_, triples) in enumerate(graphs):
            for triple in triples:
                rows.append([index.setdefault(name.strip(), len(index)) for name in triple])
                owners.append(number)
        self._encoder = encoder
        self._by_tokens: dict[bytes, int] = {}
        self.tokens, lengths = encode_names(list(index), encoder)
        self.offsets = np.cumsum([0, *lengths])
        same, usable = self._merge_equal(unk_id)
        triple_array = same[np.array(rows, np.int64).reshape(-1, 3)]
        # Senses of one word have one name, of which no sentence can say anything.
        named = usable[triple_array[:, 0]] & usable[triple_array[:, 2]] & (triple_array[:, 0] != triple_array[:, 2])
        # A relation of no token, such as an accent alone, leaves nothing to predict.
        named &= np.diff(self.offsets)[triple_array[:, 1]] > 0
        owner = np.array(owners, np.int64)[named]
        for number, title in enumerate(self.titles):
            if number not in owner:
                raise UserError(
                    f"{title}: no triple is left, as names hold characters outside of the vocabulary, or heads are "
                    "named as tails; choose a graph in the language of the tokenizer"
                )
        self.triples, position = np.unique(triple_array[named], axis=0, return_inverse=True)
        self.triple_in = np.zeros((len(self.triples), len(graphs)), bool)
        self.triple_in[position, owner] = True
        self.name_in = np.zeros((len(lengths), len(graphs)), bool)
        for column in (0, 2):
            self.name_in[triple_array[named][:, column], owner] = True
        self._entities = np.flatnonzero(self.name_in.any(1))
        self._phrases = Phrases(*self._subset(self._entities))
        self._pair_keys = self.triples[:, 0] * len(lengths) + self.triples[:, 2]
        order = np.argsort(self._pair_keys, kind="stable")
        self.triples, self.triple_in, self._pair_keys = (
            array[order] for array in (self.triples, self.triple_in, self._pair_keys)
        )

    def _merge_equal(self, unk_id: int) -> tuple[np.ndarray, np.ndarray]:
        """For each name the first with the same tokens, and whether all of them are in the vocabulary."""
        first = self._by_tokens
        same, usable = np.empty(len(self.offsets) - 1, np.int64), np.empty(len(self.offsets) - 1, bool)
        for number, (start, stop) in enumerate(zip(self.offsets[:-1], self.offsets[1:], strict=True)):
            tokens = self.tokens[start:stop]
            same[number] = first.setdefault(tokens.tobytes(), number)
            usable[number] = len(tokens) > 0 and unk_id not in tokens
        return same, usable

    def _subset(self, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = [self.name(number) for number in names]
        return np.concatenate(parts), np.cumsum([0, *map(len, parts)])

    def name(self, number: int) -> np.ndarray:
        """The tokens of a name."""
        return self.tokens[self.offsets[number] : self.offsets[number + 1]]

    def occurrences(self, tokens: np.ndarray, begins: np.ndarray, sentence: np.ndarray) -> np.ndarray:
        """int64 [n, 2]: which sentence holds which name, each once, as whole words.

        Args:
            tokens: int64 [tokens] of several sentences.
            begins: bool [tokens], whether a word begins here.
            sentence: int64 [tokens], ascending.
        """
        found = [np.empty((0, 2), np.int64)]
        ends = np.append(begins, True)
        starts = np.flatnonzero(begins)
        for length, (places, phrases) in enumerate(self._phrases.walk(tokens, starts), 1):
            whole = ends[places + length] & (sentence[places] == sentence[places + length - 1])
            found.append(np.stack([sentence[places[whole]], self._entities[phrases[whole]]], 1))
        return np.unique(np.concatenate(found), axis=0)

    def facts(self, occurrences: np.ndarray, titles: Sequence[str | None]) -> np.ndarray:
        """int64 [n, 2]: the triples, and their sentences, of which a sentence holds both head and tail.

        Args:
            occurrences: of names in sentences, as above.
            titles: of each sentence's document; where there is one, head or tail must be the name in it.
        """
        sentence, name = occurrences.T
        first = np.searchsorted(sentence, sentence)
        fits = np.arange(len(sentence)) - first < MOST_NAMES
        sentence, name = sentence[fits], name[fits]
        first, last = np.searchsorted(sentence, sentence), np.searchsorted(sentence, sentence, "right")
        # Each name as a head beside each name of its sentence as a tail.
        heads = np.repeat(np.arange(len(name)), last - first)
        tails = _ranges(first, last)
        keys = name[heads] * (len(self.offsets) - 1) + name[tails]
        low, high = np.searchsorted(self._pair_keys, keys), np.searchsorted(self._pair_keys, keys, "right")
        triples = _ranges(low, high)
        sentences = np.repeat(sentence[heads], high - low)
        kept, named = np.ones(len(triples), bool), self._numbers({title for title in titles if title is not None})
        for row, (triple, number) in enumerate(zip(self.triples[triples], sentences, strict=True)):
            title = titles[number]
            if title is not None:
                kept[row] = named[title] in (triple[0], triple[2])
        return np.stack([sentences, triples], 1)[kept]

    def _numbers(self, titles: set[str]) -> dict[str, int]:
        """The name that each title is by its tokens, so that case and spaces count as little as in sentences; or -1."""
        tokens, lengths = encode_names([title.strip() for title in titles], self._encoder)
        parts = np.split(tokens, np.cumsum(lengths)[:-1]) if titles else []
        return {title: self._by_tokens.get(part.tobytes(), -1) for title, part in zip(titles, parts, strict=True)}


def encode_names(names: Sequence[str], encoder: SentenceEncoder) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of all names, and how many each has."""
    names = [name.replace("\n", " ") for name in names]
    tokens, places = encoder(names)
    starts = np.cumsum([0, *map(len, names)])
    bounds = np.searchsorted(places, starts)
    return tokens, np.diff(bounds)


def _ranges(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The numbers [first[0], last[0]), then [first[1], last[1]), ..."""
    counts = last - first
    return np.arange(counts.sum()) + np.repeat(first - (np.cumsum(counts) - counts), counts)
