"""Knowledge masking and knowledge-text prediction: which tokens are hidden, and what stands for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model_zoo.ernie3.universal.streams import KnowledgeMasking, KnowledgeText
from model_zoo.ernie3.universal.streams.masking import Masking, span_starts
from ppernie.data.corpus import Corpus
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError

LENGTH = 32


def spans_by_hand(words: Any, entities: Any) -> list[int]:
    """A token goes on with the span before it if it is inside of an entity, or inside of a word outside of any."""
    starts = [0]
    for place in range(1, len(words)):
        goes_on = entities[place] == 2 or (entities[place] == entities[place - 1] == words[place] == 0)
        if not goes_on:
            starts.append(place)
    return starts


def samples(stream: Any, count: int, length: int = LENGTH) -> list[Any]:
    return [stream.sample(n % len(stream), length, np.random.default_rng(n)) for n in range(count)]


def test_spans_are_words_and_whole_entities(corpus: Corpus) -> None:
    assert span_starts(np.array([1, 0, 1, 0, 1, 1]), np.array([0, 0, 1, 2, 2, 0])).tolist() == [0, 2, 5]
    assert span_starts(np.array([0, 0, 1]), np.array([2, 2, 0])).tolist() == [0, 2]
    rng = np.random.default_rng(0)
    for _ in range(200):
        start, size = int(rng.integers(len(corpus.tokens) - 40)), int(rng.integers(1, 40))
        words, entities = corpus.words[start : start + size], corpus.entities[start : start + size]
        assert span_starts(words, entities).tolist() == spans_by_hand(words, entities)


def test_masking_hides_whole_spans_and_the_share_that_was_asked_for(letters: ErnieTokenizer) -> None:
    rng = np.random.default_rng(0)
    hidden = read = 0
    fates: dict[str, int] = dict.fromkeys(("mask", "random", "own"), 0)
    for number in range(3000):
        tokens = rng.integers(5, letters.vocab_size, rng.integers(1, 60))
        starts = np.flatnonzero(np.append(1, rng.random(len(tokens) - 1) < 0.6))
        masked, positions = Masking(letters, 0.15)(tokens, starts, np.random.default_rng(number))
        again, _ = Masking(letters, 0.15)(tokens, starts, np.random.default_rng(number))
        assert np.array_equal(masked, again)
        spans = [range(a, b) for a, b in zip(starts, [*starts[1:], len(tokens)], strict=True)]
        chosen = [span for span in spans if span.start in positions]
        assert positions.tolist() == [place for span in chosen for place in span]
        for place in set(range(len(tokens))) - set(positions.tolist()):
            assert masked[place] == tokens[place]
        for span in chosen:
            seen, own = masked[span.start : span.stop], tokens[span.start : span.stop]
            is_masked = (seen == letters.mask_id).all()
            assert is_masked or (seen >= 5).all()
            fates["mask" if is_masked else "own" if (seen == own).all() else "random"] += 1
        hidden, read = hidden + len(positions), read + len(tokens)
        missed = abs(len(positions) - 0.15 * len(tokens))
        assert missed <= max(map(len, spans)) / 2 + 1e-9 or len(chosen) == 1
    assert 0.14 < hidden / read < 0.18  # at least one span of even the shortest text
    total = sum(fates.values())
    assert [round(fates[name] / total, 1) for name in fates] == [0.8, 0.1, 0.1]


@pytest.mark.parametrize("length", [LENGTH, 12])
def test_knowledge_masking_is_of_windows(corpus: Corpus, letters: ErnieTokenizer, length: int) -> None:
    stream = KnowledgeMasking(corpus, letters, LENGTH, 0.15)
    windows = corpus.windows(LENGTH - 2)
    assert len(stream) == len(windows)
    found = set()
    for index, (first, last) in enumerate(windows):
        sample = stream.sample(index, length, np.random.default_rng(index))
        ids, positions = sample["input_ids"], sample["masked_positions"]
        assert ids[0] == letters.cls_id and ids[-1] == letters.sep_id and len(ids) <= length
        assert sample["token_type_ids"].tolist() == [0] * len(ids)
        text = ids.copy()
        text[positions] = sample["labels"]
        text = text[1:-1].tolist()
        window = slice(corpus.sentences[first], corpus.sentences[last])
        whole = corpus.tokens[window].tolist()
        assert len(text) == min(length - 2, len(whole))
        starts = [n for n in range(len(whole) - len(text) + 1) if whole[n : n + len(text)] == text]
        assert starts
        found.add(starts[0])
        begin = window.start + starts[0]
        part = slice(begin, begin + len(text))
        borders = [*spans_by_hand(corpus.words[part], corpus.entities[part]), len(text)]
        hidden = set((positions - 1).tolist())
        for a, b in zip(borders[:-1], borders[1:], strict=True):
            assert hidden >= set(range(a, b)) or not hidden & set(range(a, b))
    assert (len(found) > 1) == (length < LENGTH)


def test_a_batch_is_its_rows(corpus: Corpus, letters: ErnieTokenizer) -> None:
    stream = KnowledgeMasking(corpus, letters, LENGTH, 0.15)
    rows = samples(stream, 6)
    batch = stream.collate(rows, LENGTH)
    width = max(len(row["input_ids"]) for row in rows)
    assert batch["input_ids"].shape == batch["token_type_ids"].shape == (6, width)
    expected = [(r, p) for r, row in enumerate(rows) for p in row["masked_positions"].tolist()]
    assert [divmod(place, width) for place in batch["masked_positions"].tolist()] == expected
    assert batch["knowledge_masking"].tolist() == [label for row in rows for label in row["labels"].tolist()]
    for row, ids in zip(rows, batch["input_ids"].tolist(), strict=True):
        assert ids == [*row["input_ids"].tolist(), *[letters.pad_id] * (width - len(row["input_ids"]))]
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int64)}


@pytest.mark.parametrize("length", [LENGTH, 14, 9])
def test_knowledge_text_hides_the_relation_or_words(corpus: Corpus, letters: ErnieTokenizer, length: int) -> None:
    stream = KnowledgeText(corpus, letters, LENGTH, 0.15)
    assert len(stream) == 30
    relations = 0
    for number in range(300):
        fact = corpus.facts[number % 30]
        sample = stream.sample(number % 30, length, np.random.default_rng(number))
        ids, positions = sample["input_ids"].copy(), sample["masked_positions"]
        assert len(ids) <= length
        quarter = (length - 5) // 4
        names = [name[:quarter].tolist() for name in fact[:3]]
        sentence = fact.sentence[: length - 5 - sum(map(len, names))].tolist()
        expected, segments = [letters.cls_id], [0]
        for kind, text in enumerate([*names, sentence]):
            expected += [*text, letters.sep_id]
            segments += [int(kind == 3)] * (len(text) + 1)
        begin = 2 + len(names[0])
        relation = list(range(begin, begin + len(names[1])))
        if positions.tolist() == relation:
            relations += 1
            assert (ids[positions] == letters.mask_id).all()
        else:
            start = len(expected) - 1 - len(sentence)
            assert start <= positions.min() and positions.max() < len(expected) - 1
            borders = [*spans_by_hand(fact.words, np.zeros_like(fact.words)), len(sentence)]
            borders = [start + border for border in borders if border <= len(sentence)]
            for a, b in zip(borders[:-1], borders[1:], strict=True):
                assert sum(a <= p < b for p in positions.tolist()) in (0, b - a)
        ids[positions] = sample["labels"]
        assert ids.tolist() == expected
        assert sample["token_type_ids"].tolist() == segments
    assert 120 < relations < 180


def test_a_corpus_without_facts(make_corpus: Callable[..., Corpus], letters: ErnieTokenizer) -> None:
    with pytest.raises(UserError, match=r"no facts.*Task\.factors\.knowledge_text to 0"):
        KnowledgeText(make_corpus([[4, 4]]), letters, LENGTH, 0.15)


def test_samples_without_room(corpus: Corpus, letters: ErnieTokenizer) -> None:
    with pytest.raises(UserError, match=r"8 tokens are too few.*knowledge_text.*at least 9"):
        KnowledgeText(corpus, letters, 8, 0.15)
    stream = KnowledgeText(corpus, letters, LENGTH, 0.15)
    with pytest.raises(UserError, match=r"Train\.progressive\.length"):
        stream.sample(0, 8, np.random.default_rng(0))


def test_facts_come_as_often_as_they_weigh(make_corpus: Callable[..., Corpus], letters: ErnieTokenizer) -> None:
    corpus = make_corpus([[4]], facts=5, fact_weights=[(2, 1.0), (2, 3.0), (1, 0.0)])
    stream = KnowledgeText(corpus, letters, 100, 0.15)
    indices = np.arange(len(stream))
    found = [stream.sample(index, 100, np.random.default_rng(0)) for index in indices.tolist()]
    expected = [corpus.facts[number] for number in (0, 1, 2, 2, 2, 3, 3, 3)]
    sizes = [sum(map(len, fact[:4])) for fact in expected]
    assert [len(sample["input_ids"]) - 5 for sample in found] == stream.sizes(indices, 100).tolist() == sizes
    for sample, fact in zip(found, expected, strict=True):
        assert sample["input_ids"][1 : 1 + len(fact.head)].tolist() == fact.head.tolist()
