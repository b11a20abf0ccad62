"""One part of the texts, or one file of pairs, as arrays of its own: what a worker process makes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from ppernie.data.corpus.arrays import ArrayWriter
from ppernie.data.corpus.cleaning import Longest, Repeats, collapse_characters, split_sentences
from ppernie.data.corpus.encoding import SentenceEncoder
from ppernie.data.corpus.graph import Graph, encode_names
from ppernie.data.corpus.reading import Part, read_part
from ppernie.data.corpus.segmentation import Segmenter
from ppernie.data.corpus.settings import Cleaning, CorpusConfig, TextSource
from ppernie.data.corpus.text import code_points, is_word_character
from ppernie.data.corpus.triples import Pair, read_pairs
from ppernie.files import new_folder, write_file

STATISTICS = "statistics.json"
# Of a document that equals no other.
NO_DIGEST = 0
# Characters that go through segmenter and tokenizer together.
_BATCH = 2**18


@dataclass(frozen=True)
class PairPart:
    """One file of sentences with their triples."""

    source: int
    path: str


def names_of(title: str) -> str:
    """Under which the names of a graph that sentences hold are counted."""
    return f"names of {title}"


def facts_of(title: str) -> str:
    """Under which the triples of a graph that sentences may state are counted."""
    return f"facts of {title}"


@dataclass
class Maker:
    """Makes the arrays of parts; what it holds is made once and shared by the processes.

    Args:
        token_type: of the ids on the disk.
    """

    config: CorpusConfig
    segmenter: Segmenter
    encoder: SentenceEncoder
    graph: Graph | None
    token_type: np.dtype

    def make(self, part: Part | PairPart, folder: Path) -> Counter[str]:
        """Writes the folder of a part, whole or not at all, and returns what was counted.

        Raises:
            UserError: the text is not as the config says, or the disk is full.
        """
        counts: Counter[str] = Counter()
        with new_folder(folder) as temporary:
            with ArrayWriter(temporary) as writer:
                if isinstance(part, Part):
                    self._make_texts(part, writer, counts)
                else:
                    self._make_pairs(part, writer, counts)
            write_file(temporary / STATISTICS, json.dumps(counts))
        return counts

    def _make_texts(self, part: Part, writer: ArrayWriter, counts: Counter[str]) -> None:
        counts["bytes"] += part.stop - part.start
        source = self.config.sources[part.source]
        cleaning = source.cleaning or self.config.cleaning
        documents = _Documents(writer, counts)
        sentences = _cleaned(part, source, cleaning, counts, documents, line_feeds=self.config.line_feeds)
        for batch in _batches(sentences):
            self._encode(batch, cleaning, writer, counts, documents)
        documents.close()

    def _encode(
        self,
        batch: list[_Sentence],
        cleaning: Cleaning,
        writer: ArrayWriter,
        counts: Counter[str],
        documents: _Documents,
    ) -> None:
        texts = [sentence.text for sentence in batch]
        coded = self._coded(texts)
        lengths = coded.lengths
        kept = (coded.word_counts(texts) >= cleaning.min_words) & (lengths > 0)
        counts["sentences too short"] += int((~kept).sum())
        inside = np.repeat(kept, lengths)
        writer.append("tokens", coded.ids[inside].astype(self.token_type))
        writer.append("words", coded.begins[inside].astype(np.uint8))
        writer.append("entities", coded.names[inside])
        writer.append("lengths", lengths[kept])
        for sentence in np.flatnonzero(kept):
            ids, begins = coded.sentence(sentence)
            documents.count(batch[sentence].document, len(ids), int(begins.sum()))
        if self.graph is not None:
            numbers = np.repeat(np.arange(len(texts)), lengths)[inside]
            found = self.graph.occurrences(coded.ids[inside], coded.begins[inside], numbers)
            rows = self.graph.facts(found, [sentence.title for sentence in batch])
            names_in, facts_in = self.graph.name_in[found[:, 1]].sum(0), self.graph.triple_in[rows[:, 1]].sum(0)
            for title, names, facts in zip(self.graph.titles, names_in, facts_in, strict=True):
                counts[names_of(title)] += int(names)
                counts[facts_of(title)] += int(facts)
            for number, triple in rows:
                parts = [self.graph.name(name) for name in self.graph.triples[triple]]
                _append_fact(writer, self.token_type, parts, coded.sentence(number), batch[number].document)

    def _make_pairs(self, part: PairPart, writer: ArrayWriter, counts: Counter[str]) -> None:
        counts["bytes"] += Path(part.path).stat().st_size
        batch: list[Pair] = []
        for pair in read_pairs(self.config.pairs[part.source], Path(part.path), self.config.root):
            batch.append(pair)
            if len(batch) == _BATCH // 64:
                self._encode_pairs(batch, writer, counts)
                batch = []
        if batch:
            self._encode_pairs(batch, writer, counts)

    def _encode_pairs(self, batch: list[Pair], writer: ArrayWriter, counts: Counter[str]) -> None:
        coded = self._coded([" ".join(pair.sentence.split()) for pair in batch])
        tokens, lengths = encode_names([name for pair in batch for name in pair.triple], self.encoder)
        names = np.split(tokens, np.cumsum(lengths)[:-1])
        for number, length in enumerate(coded.lengths):
            triple = names[3 * number : 3 * number + 3]
            if length and all(map(len, triple)):
                _append_fact(writer, self.token_type, triple, coded.sentence(number), 0)
            else:
                counts["facts without words"] += 1

    def _coded(self, texts: list[str]) -> _Coded:
        ids, places = self.encoder(texts)
        begins, names = self.segmenter(texts)
        starts = np.cumsum([0, *map(len, texts)])
        lengths = np.diff(np.searchsorted(places, starts))
        first = np.zeros(len(ids), bool)
        first[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
        # A sentence's first token begins a word, whatever the segmenter makes of what stands before it.
        return _Coded(ids, begins[places] | first, names[places], np.cumsum([0, *lengths]), begins, starts)


@dataclass
class _Coded:
    """Sentences as tokens, one after the other: int64 ids, bool begins, uint8 names [tokens].

    ``starts`` int64 [sentences + 1] are of the sentences in the tokens, ``character_starts`` in the characters, where
    ``character_begins`` bool [characters] says which begin a word.
    """

    ids: np.ndarray
    begins: np.ndarray
    names: np.ndarray
    starts: np.ndarray
    character_begins: np.ndarray
    character_starts: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """int64 [sentences]."""
        return np.diff(self.starts)

    def word_counts(self, texts: list[str]) -> np.ndarray:
        """Words of each sentence, without punctuation."""
        is_word = self.character_begins & is_word_character(code_points("".join(texts)))
        return np.diff(np.concatenate([[0], np.cumsum(is_word)])[self.character_starts])

    def sentence(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids and begins of one."""
        inside = slice(*self.starts[number : number + 2])
        return self.ids[inside], self.begins[inside]


@dataclass(frozen=True)
class _Sentence:
    document: int
    title: str | None
    text: str


@dataclass
class _Documents:
    """Ends documents in the arrays as soon as the next one begins, so that none is held."""

    writer: ArrayWriter
    counts: Counter[str]
    number: int = 0
    sentences: int = 0
    tokens: int = 0
    words: int = 0
    last: int = -1
    digests: dict[int, int] = field(default_factory=dict)

    def count(self, document: int, tokens: int, words: int) -> None:
        """A sentence of a document has been written."""
        while self.number < document:
            self._end()
        self.sentences, self.tokens, self.words = self.sentences + 1, self.tokens + tokens, self.words + words

    def close(self) -> None:
        """They end up to the ``last`` one that was read, of which nothing may be left."""
        while self.number <= self.last:
            self._end()

    def _end(self) -> None:
        self.writer.append("sentence_counts", np.asarray([self.sentences], np.int64))
        self.writer.append("token_counts", np.asarray([self.tokens], np.int64))
        self.writer.append("word_counts", np.asarray([self.words], np.int64))
        # One without text has no digest.
        self.writer.append("digests", np.asarray([self.digests.pop(self.number, NO_DIGEST)], np.uint64))
        self.counts["documents of which nothing is left"] += not self.sentences
        self.number, self.sentences, self.tokens, self.words = self.number + 1, 0, 0, 0


def _cleaned(
    part: Part,
    source: TextSource,
    cleaning: Cleaning,
    counts: Counter[str],
    documents: _Documents,
    *,
    line_feeds: bool,
) -> Iterator[_Sentence]:
    """With ``line_feeds`` the first sentence of a paragraph begins with one, but for that of a document."""

    def sentences() -> Iterator[tuple[int, str | None, str]]:
        begun = -1  # the document that has a sentence
        for paragraph in read_part(part, source):
            documents.last = paragraph.document
            before = "\n" if line_feeds and begun == paragraph.document else ""
            text = collapse_characters(paragraph.text) if cleaning.collapse_characters else paragraph.text
            for sentence in split_sentences(text):
                if sentence:
                    yield paragraph.document, paragraph.title, before + sentence
                    begun, before = paragraph.document, ""

    for (document, title), group in groupby(sentences(), key=itemgetter(0, 1)):
        texts = (text for _, _, text in group)
        repeats, longest = Repeats(), Longest()
        for sentence in repeats.collapse(texts) if cleaning.collapse_paragraphs else texts:
            longest.add(sentence)
            yield _Sentence(document, title, sentence)
        counts["sentences repeated"] += repeats.dropped
        documents.digests[document] = longest.digest() if cleaning.deduplicate else NO_DIGEST


def _batches(sentences: Iterator[_Sentence]) -> Iterator[list[_Sentence]]:
    batch: list[_Sentence] = []
    size = 0
    for sentence in sentences:
        batch.append(sentence)
        size += len(sentence.text)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _append_fact(
    writer: ArrayWriter,
    token_type: np.dtype,
    names: list[np.ndarray],
    sentence: tuple[np.ndarray, np.ndarray],
    document: int,
) -> None:
    writer.append("fact_names", np.concatenate(names).astype(token_type))
    writer.append("fact_name_lengths", np.asarray([len(name) for name in names], np.int64))
    writer.append("fact_tokens", sentence[0].astype(token_type))
    writer.append("fact_words", sentence[1].astype(np.uint8))
    writer.append("fact_lengths", np.asarray([len(sentence[0])], np.int64))
    writer.append("fact_documents", np.asarray([document], np.int64))
