"""Document language modelling: rows of segments, and what they predict."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from model_zoo.ernie3.universal.streams import Documents
from ppernie.data.corpus import Corpus
from ppernie.data.streams import evaluation_batches
from ppernie.data.tokenizers import ErnieTokenizer


def whole_texts(corpus: Corpus, letters: ErnieTokenizer) -> list[list[int]]:
    """Every document between its special tokens."""
    borders = corpus.sentences[corpus.documents]
    return [
        [letters.cls_id, *corpus.tokens[a:b].tolist(), letters.sep_id]
        for a, b in zip(borders[:-1], borders[1:], strict=True)
    ]


@pytest.mark.parametrize(("longest", "segments"), [(8, 1), (5, 3), (16, 2), (100, 4)])
def test_a_pass_predicts_every_token_once(corpus: Corpus, letters: ErnieTokenizer, longest: int, segments: int) -> None:
    stream = Documents(corpus, letters, longest, segments)
    rows = [stream.sample(index, longest, np.random.default_rng(index)) for index in range(len(stream))]
    expected = []
    for text in whole_texts(corpus, letters):
        for start in range(0, len(text) - 1, longest * segments):
            part = text[start : start + longest * segments + 1]
            expected.append((part[:-1], part[1:]))
    assert [(row["document_ids"].tolist(), row["labels"].tolist()) for row in rows] == expected
    assert sum(len(row["labels"]) for row in rows) == len(corpus.tokens) + len(corpus.documents) - 1


def test_shorter_segments_are_random_parts_of_a_run(corpus: Corpus, letters: ErnieTokenizer) -> None:
    stream, starts = Documents(corpus, letters, 16, 2), set()
    for index in range(len(stream)):
        (whole,) = [stream.sample(index, 16, np.random.default_rng(0))]
        run = [*whole["document_ids"].tolist(), int(whole["labels"][-1])]
        for seed in range(4):
            part = stream.sample(index, 6, np.random.default_rng(seed))
            ids, labels = part["document_ids"].tolist(), part["labels"].tolist()
            assert len(ids) == min(12, len(run) - 1) and ids[1:] == labels[:-1]
            places = [n for n in range(len(run)) if run[n : n + len(ids) + 1] == [*ids, labels[-1]]]
            assert places
            starts.add(places[0])
    assert len(starts) > 10


def test_a_batch_predicts_no_padding(corpus: Corpus, letters: ErnieTokenizer) -> None:
    stream = Documents(corpus, letters, 16, 2)
    rows = [stream.sample(index, 16, np.random.default_rng(0)) for index in range(9)]
    batch = stream.collate(rows, 16)
    ids = batch["document_ids"]
    assert ids.shape == (9, max(len(row["document_ids"]) for row in rows)) and int(batch["segment_length"]) == 16
    expected = [
        (number, place, int(label)) for number, row in enumerate(rows) for place, label in enumerate(row["labels"])
    ]
    found = [
        (*divmod(place, ids.shape[1]), label)
        for place, label in zip(batch["predicted_positions"].tolist(), batch["document"].tolist(), strict=True)
    ]
    assert found == expected
    assert (ids.flatten()[batch["predicted_positions"]] != letters.pad_id).all()
    assert (ids != letters.pad_id).sum() == len(expected)


def test_weights_count_by_source(make_corpus: Callable[..., Corpus], letters: ErnieTokenizer) -> None:
    corpus = make_corpus([[20], [5]], source_of=[0, 1], weights=(2.0, 1.0))
    stream = Documents(corpus, letters, 8, 1)
    rows = [stream.sample(index, 8, np.random.default_rng(0))["document_ids"].tolist() for index in range(len(stream))]
    assert len(rows) == 3 * 2 + 1
    assert rows[:3] == rows[3:6] and rows[0] != rows[1]


def test_evaluation_reads_on_in_long_documents_and_of_all(
    make_corpus: Callable[..., Corpus], letters: ErnieTokenizer
) -> None:
    """A few runs of three books are not the opening of the first one."""
    corpus = make_corpus([[20] * 30, [20] * 10, [20] * 20])
    stream = Documents(corpus, letters, 20, 1)
    runs = [stream.sample(index, 20, np.random.default_rng(0))["labels"].tolist() for index in range(len(stream))]
    batches = evaluation_batches({"document": stream}, 20, 2, 6)
    found = [runs.index(row.tolist()) for batch in batches for row in batch["document"].reshape(-1, 20)]
    assert found == [5, 15, 26, 36, 47, 57]  # of 31, 11 and 21 runs
