"""Sentence reordering and sentence distance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import permutations
from math import factorial
from typing import Any

import numpy as np
import pytest

from model_zoo.ernie3.universal.streams import Distance, Reordering
from model_zoo.ernie3.universal.streams.reordering import cut, order_class, order_classes
from ppernie.data.corpus import Corpus
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError

LENGTH = 40


@pytest.mark.parametrize("most", [1, 2, 3, 4, 5])
def test_every_order_of_every_number_of_pieces_is_a_class(most: int) -> None:
    orders = [order for pieces in range(1, most + 1) for order in permutations(range(pieces))]
    assert [order_class(order) for order in orders] == list(range(order_classes(most)))
    assert order_classes(most) == sum(factorial(pieces) for pieces in range(1, most + 1)) == len(orders)
    assert [order_classes(m) for m in (3, 4)] == [9, 33]


def test_cuts_are_between_sentences_where_there_are_enough() -> None:
    seen = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        cuts = cut(20, np.array([4, 9, 15]), 3, rng).tolist()
        assert len(cuts) == 2 and cuts == sorted(set(cuts)) and set(cuts) <= {4, 9, 15}
        anywhere = cut(20, np.array([4]), 3, rng).tolist()
        assert len(anywhere) == 2 and 0 < anywhere[0] < anywhere[1] < 20
        assert cut(3, np.array([], np.int64), 3, rng).tolist() == [1, 2]
        assert cut(20, np.array([4]), 1, rng).tolist() == []
        seen |= {tuple(cuts)}
    assert seen == {(4, 9), (4, 15), (9, 15)}


@pytest.mark.parametrize("length", [LENGTH, 16])
def test_a_paragraph_is_found_again_by_its_class(corpus: Corpus, letters: ErnieTokenizer, length: int) -> None:
    """The class alone says how to put the pieces back into the text."""
    orders = [order for pieces in (1, 2, 3) for order in permutations(range(pieces))]
    stream = Reordering(corpus, letters, LENGTH, 3)
    windows = corpus.windows(LENGTH - 4)
    assert len(stream) == len(windows)
    classes: Counter[int] = Counter()
    for number in range(900):
        index = number % len(windows)
        sample = stream.sample(index, length, np.random.default_rng(number))
        ids = sample["input_ids"].tolist()
        assert ids[0] == letters.cls_id and ids[-1] == letters.sep_id and len(ids) <= length
        assert sample["token_type_ids"].tolist() == [0] * len(ids) and not len(sample["masked_positions"])
        (label,) = sample["labels"].tolist()
        classes[label] += 1
        pieces: list[list[int]] = [[]]
        for token in ids[1:-1]:
            if token == letters.sep_id:
                pieces.append([])
            else:
                pieces[-1].append(token)
        order = orders[label]
        assert len(pieces) == len(order) and all(pieces)
        text = [token for wanted in range(len(order)) for token in pieces[order.index(wanted)]]
        first, last = windows[index]
        whole = corpus.tokens[corpus.sentences[first] : corpus.sentences[last]].tolist()
        assert len(text) == min(length - 4, len(whole))
        starts = [n for n in range(len(whole) - len(text) + 1) if whole[n : n + len(text)] == text]
        assert starts
        if length == LENGTH and last - first >= len(order):
            borders = {int(b) - int(corpus.sentences[first]) for b in corpus.sentences[first : last + 1]}
            sizes = [len(pieces[order.index(wanted)]) for wanted in range(len(order))]
            assert set(np.cumsum(sizes).tolist()) <= borders
    assert set(classes) == set(range(9))
    assert classes[0] > 250 and 250 < classes[1] + classes[2] < 350


def test_the_classes_of_distance_are_what_they_say(corpus: Corpus, letters: ErnieTokenizer) -> None:
    stream = Distance(corpus, letters, LENGTH)
    sizes = np.diff(corpus.documents)
    usable = np.flatnonzero(sizes >= 3)
    assert len(stream) == sizes[usable].sum()
    index = 0
    kinds: Counter[int] = Counter()
    gaps = set()
    for text, document in enumerate(usable):
        for _ in range(sizes[document]):
            for seed in range(3):
                rng = np.random.default_rng((index, seed))
                kind = int(rng.integers(3))
                one, other = stream._pair(text, kind, rng)
                sample = stream.sample(index, 1000, np.random.default_rng((index, seed)))
                assert sample["labels"].tolist() == [kind]
                texts = [corpus.tokens[corpus.sentences[n] : corpus.sentences[n + 1]].tolist() for n in (one, other)]
                expected = [letters.cls_id, *texts[0], letters.sep_id, *texts[1], letters.sep_id]
                assert sample["input_ids"].tolist() == expected
                types = [0] * (len(texts[0]) + 2) + [1] * (len(texts[1]) + 1)
                assert sample["token_type_ids"].tolist() == types
                places = [np.searchsorted(corpus.documents, n, side="right") - 1 for n in (one, other)]
                assert places[0] == document
                # What the labels mean, from scratch.
                by_hand = 2 if places[0] != places[1] else 0 if other == one + 1 else 1
                assert by_hand == kind
                assert kind == 2 or one < other
                if kind == 1:
                    gaps.add(other - one)
                kinds[kind] += 1
            index += 1
    assert index == len(stream)
    assert all(abs(kinds[kind] / kinds.total() - 1 / 3) < 0.05 for kind in range(3))
    assert gaps >= set(range(2, 9))


def test_how_likely_a_pair_is(make_corpus: Callable[..., Corpus], letters: ErnieTokenizer) -> None:
    """Documents of sentences 0; 1 to 4; 5 to 7; 8 and 9: the first and the last take no part."""
    stream = Distance(make_corpus([[3], [3] * 4, [3] * 3, [3, 3]]), letters, LENGTH)
    rng = np.random.default_rng(0)
    pairs = [Counter(stream._pair(0, kind, rng) for _ in range(4000)) for kind in range(3)]
    assert set(pairs[0]) == {(1, 2), (2, 3), (3, 4)}
    assert set(pairs[1]) == {(1, 3), (1, 4), (2, 4)}
    for found in pairs[:2]:
        assert max(found.values()) < 1.2 * 4000 / 3
    assert set(pairs[2]) == {(one, other) for one in (1, 2, 3) for other in (6, 7)}
    for place in (0, 1):
        # Neither of two documents' sentences is likelier than in pairs of one document.
        alone = [stream._pair(place, int(rng.integers(2)), rng)[place] for _ in range(4000)]
        for number, count in Counter(alone).items():
            apart = sum(found for pair, found in pairs[2].items() if pair[place] == number)
            assert abs(apart - count) < 300


def test_long_sentences_are_cut_to_fit(make_corpus: Callable[..., Corpus], letters: ErnieTokenizer) -> None:
    corpus = make_corpus([[50, 4, 60], [30, 30, 30]])
    stream = Distance(corpus, letters, 21)
    for number in range(30):
        sample = stream.sample(number % len(stream), 21, np.random.default_rng(number))
        rng = np.random.default_rng(number)
        kind = int(rng.integers(3))
        pair = stream._pair(stream._draws.find(number % len(stream))[0], kind, rng)
        lengths = [int(corpus.sentences[n + 1] - corpus.sentences[n]) for n in pair]
        assert len(sample["input_ids"]) == min(21, sum(lengths) + 3)
        assert (sample["token_type_ids"] == 1).sum() >= 5


def test_samples_of_distance_are_about_as_long_as_their_sizes_say(
    make_corpus: Callable[..., Corpus], letters: ErnieTokenizer
) -> None:
    corpus = make_corpus([[3] * 4, [9] * 3, [2, 6, 4, 8], [20] * 5], source_of=[0, 0, 1, 0], weights=(1.0, 2.0))
    stream, length = Distance(corpus, letters, 30), 30
    indices = np.random.default_rng(0).permutation(len(stream))
    found = dict(zip(indices.tolist(), stream.sizes(indices, length).tolist(), strict=True))
    assert [found[number] for number in range(len(stream))] == [6] * 4 + [18] * 3 + [10] * 8 + [27] * 5
    for index, size in found.items():
        samples = [stream.sample(index, length, np.random.default_rng(seed)) for seed in range(300)]
        mean = np.mean([len(sample["input_ids"]) - 3 for sample in samples if sample["labels"] != [2]])
        assert mean == (pytest.approx(size, abs=0.8) if size == 10 else size)


@pytest.mark.parametrize("documents", [[[4, 4], [4, 4, 4]], [[4, 4, 4, 4]]])
def test_a_corpus_without_pairs(make_corpus: Callable[..., Corpus], letters: ErnieTokenizer, documents: Any) -> None:
    with pytest.raises(UserError, match=r"Task\.factors\.distance to 0"):
        Distance(make_corpus(documents), letters, LENGTH)


def test_documents_come_as_their_weights_say(make_corpus: Callable[..., Corpus], letters: ErnieTokenizer) -> None:
    corpus = make_corpus([[3] * 4] * 4, source_of=[0, 1, 2, 0], weights=(1.0, 3.0, 0.0))
    stream, rng = Distance(corpus, letters, LENGTH), np.random.default_rng(0)
    assert len(stream) == 4 * (1 + 3 + 1)
    # Of the documents that are drawn, the second one is the one of weight 3.
    assert {stream._other(1, rng) for _ in range(50)} == {0, 2}
    found = Counter(stream._other(0, rng) for _ in range(4000))
    assert set(found) == {1, 2} and abs(found[1] - 3000) < 150
    with pytest.raises(UserError, match="has 1 documents"):
        Distance(make_corpus([[3] * 4] * 2, source_of=[0, 1], weights=(1.0, 0.0)), letters, LENGTH)
