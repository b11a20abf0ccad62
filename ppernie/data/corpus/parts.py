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
from ppernie.data.corpus.settings import Cleaning, CorpusConfig
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
    token_type: type[np.unsignedinteger]

    def make(self, part: Part | PairPart, folder: Path) -> None:
        """Writes the folder of a part, whole or not at all.

        Raises:
            UserError: the text is not as the config says, or the disk is full.
        """
        counts: Counter[str] = Counter()
        with new_folder(folder) as temporary:
            with ArrayWriter(temporary) as writer:
                for name in ("tokens", "words", "entities", "lengths", "counts", "digests"):
                    writer.append(name, np.empty(0))
                if isinstance(part, Part):
                    self._make_texts(part, writer, counts)
                else:
                    self._make_pairs(part, writer, counts)
            write_file(temporary / STATISTICS, json.dumps(counts))

    def _make_texts(self, part: Part, writer: ArrayWriter, counts: Counter[str]) -> None:
        counts["bytes"] += part.stop - part.start
        source = self.config.sources[part.source]
        documents = _Documents(writer, counts)
        for batch in _batches(_cleaned(part, source.cleaning or self.config.cleaning, self.config, counts, documents)):
            self._encode(batch, source.cleaning or self.config.cleaning, writer, counts, documents)
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
        enough = coded.word_counts(texts) >= cleaning.min_words
        counts["sentences too short"] += int((~enough).sum())
        kept = enough & (coded.lengths > 0)
        inside = np.repeat(kept, coded.lengths)
        writer.append("tokens", coded.ids[inside].astype(self.token_type))
        writer.append("words", coded.begins[inside].astype(np.uint8))
        writer.append("entities", coded.names[inside])
        writer.append("lengths", coded.lengths[kept])
        counts["sentences"] += int(kept.sum())
        counts["tokens"] += int(inside.sum())
        counts["words"] += int(coded.begins[inside].sum())
        for sentence in np.flatnonzero(kept):
            documents.count(batch[sentence].document)
        if self.graph is not None:
            numbers = np.repeat(np.arange(len(texts)), coded.lengths)[inside]
            found = self.graph.occurrences(coded.ids[inside], coded.begins[inside], numbers)
            rows = self.graph.facts(found, [sentence.title for sentence in batch])
            for number, triple in rows:
                names = [self.graph.name(name) for name in self.graph.triples[triple]]
                _append_fact(writer, self.token_type, names, coded.sentence(number), batch[number].document)
            counts["facts"] += len(rows)

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
        for number in range(len(batch)):
            triple = names[3 * number : 3 * number + 3]
            if all(map(len, triple)) and coded.lengths[number]:
                _append_fact(writer, self.token_type, triple, coded.sentence(number), 0)
                counts["facts"] += 1

    def _coded(self, texts: list[str]) -> _Coded:
        ids, places = self.encoder(texts)
        begins, names = self.segmenter(texts)
        starts = np.cumsum([0, *map(len, texts)])
        lengths = np.diff(np.searchsorted(places, starts))
        first = np.zeros(len(ids), bool)
        first[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
        # A sentence's first token begins a word, whatever the segmenter makes of what stands before it.
        return _Coded(ids, begins[places] | first, names[places], lengths, begins, starts)


@dataclass
class _Coded:
    """Sentences as tokens, one after the other: int64 ids, bool begins, uint8 names [tokens], int64 lengths."""

    ids: np.ndarray
    begins: np.ndarray
    names: np.ndarray
    lengths: np.ndarray
    character_begins: np.ndarray
    character_starts: np.ndarray

    def word_counts(self, texts: list[str]) -> np.ndarray:
        """Words of each sentence, without punctuation."""
        is_word = self.character_begins & is_word_character(code_points("".join(texts)))
        return np.diff(np.concatenate([[0], np.cumsum(is_word)])[self.character_starts])

    def sentence(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids and begins of one."""
        stop = int(self.lengths[: number + 1].sum())
        start = stop - int(self.lengths[number])
        return self.ids[start:stop], self.begins[start:stop]


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
    number: int = -1
    sentences: int = 0
    digests: dict[int, int] = field(default_factory=dict)

    def count(self, document: int) -> None:
        """A sentence of a document has been written."""
        while self.number < document:
            self._end()
        self.sentences += 1

    def close(self) -> None:
        """The last one ends, and those behind it, of which nothing is left."""
        while self.number <= max(self.digests, default=-1):
            self._end()

    def _end(self) -> None:
        if self.number >= 0:
            self.writer.append("counts", np.asarray([self.sentences], np.int64))
            self.writer.append("digests", np.asarray([self.digests.pop(self.number)], np.uint64))
        self.number, self.sentences = self.number + 1, 0


def _cleaned(
    part: Part, cleaning: Cleaning, config: CorpusConfig, counts: Counter[str], documents: _Documents
) -> Iterator[_Sentence]:
    source = config.sources[part.source]

    def sentences() -> Iterator[tuple[int, str | None, str]]:
        for paragraph in read_part(part, source):
            text = collapse_characters(paragraph.text) if cleaning.collapse_characters else paragraph.text
            for sentence in split_sentences(text):
                if sentence:
                    yield paragraph.document, paragraph.title, sentence

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
    token_type: type[np.unsignedinteger],
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
