"""The joined text of a corpus and its windows, against lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from model_zoo.glm.pretraining.texts import JoinedTexts
from ppernie.data.corpus import Corpus
from ppernie.data.tokenizers import GlmTokenizer
from ppernie.errors import UserError


def joined(corpus: Corpus, letters: GlmTokenizer) -> list[int]:
    borders = corpus.sentences[corpus.documents]
    documents = [corpus.tokens[a:b].tolist() for a, b in zip(borders[:-1], borders[1:], strict=True)]
    return [token for document in documents for token in [*document, letters.eos_id]]


@pytest.mark.parametrize("length", [7, 64, 2047, 10**6])
def test_a_pass_reads_the_whole_text(length: int, corpus: Corpus, letters: GlmTokenizer) -> None:
    texts, whole = JoinedTexts(corpus, letters.eos_id, length), joined(corpus, letters)
    size = min(length, len(whole))
    starts = [*range(0, len(whole) - size, size), len(whole) - size]
    assert len(texts) == len(starts)
    for index, start in enumerate(starts):
        part = texts.part(index, length, np.random.default_rng(0))
        assert (part.start, len(part)) == (start, size)
        assert texts.tokens(part).tolist() == whole[start : start + size]


def test_any_part_and_its_sentences(corpus: Corpus, letters: GlmTokenizer) -> None:
    texts, whole = JoinedTexts(corpus, letters.eos_id, 64), joined(corpus, letters)
    starts, place = [], 0
    for document in range(len(corpus.documents) - 1):
        for sentence in range(corpus.documents[document], corpus.documents[document + 1]):
            starts.append((place, int(corpus.sentences[sentence + 1] - corpus.sentences[sentence])))
            place += starts[-1][1]
        place += 1
    rng = np.random.default_rng(0)
    for _ in range(300):
        start = int(rng.integers(len(whole) - 1))
        part = range(start, min(start + int(rng.integers(1, 90)), len(whole)))
        assert texts.tokens(part).tolist() == whole[part.start : part.stop]
        cut = [(max(s, part.start), min(s + size, part.stop)) for s, size in starts]
        expected = [(s - part.start, stop - s) for s, stop in cut if s < stop]
        assert list(zip(*texts.sentences(part), strict=True)) == expected


def test_a_shorter_sample_is_a_random_part_of_its_window(corpus: Corpus, letters: GlmTokenizer) -> None:
    texts = JoinedTexts(corpus, letters.eos_id, 64)
    for index in range(5):
        window = texts.part(index, 64, np.random.default_rng(0))
        parts = [texts.part(index, 60, np.random.default_rng(seed)) for seed in range(60)]
        assert {part.start - window.start for part in parts} == set(range(5))
        assert all(len(part) == 60 and part.stop <= window.stop for part in parts)


def test_weights_count_by_source(make_corpus: Callable[..., Corpus], letters: GlmTokenizer) -> None:
    """Windows stay within a source, of which one has the threefold weight and another none."""
    corpus = make_corpus([[30, 9], [20], [39], [50]], source_of=[0, 0, 1, 2], weights=(3.0, 0.0, 1.0))
    texts, whole = JoinedTexts(corpus, letters.eos_id, 20), joined(corpus, letters)
    found = Counter(texts.part(index, 20, np.random.default_rng(0)) for index in range(len(texts)))
    first = {range(0, 20): 3, range(20, 40): 3, range(40, 60): 3, range(41, 61): 3}
    assert found == first | {range(101, 121): 1, range(121, 141): 1, range(132, 152): 1}
    assert len(whole) == 152


def test_too_little_text(make_corpus: Callable[..., Corpus], letters: GlmTokenizer) -> None:
    with pytest.raises(UserError, match="source 1 has 6 tokens"):
        JoinedTexts(make_corpus([[30], [5]], source_of=[0, 1], weights=(1.0, 1.0)), letters.eos_id, 20)
    assert len(JoinedTexts(make_corpus([[30], [5]], source_of=[0, 1], weights=(1.0, 0.0)), letters.eos_id, 20)) == 2
