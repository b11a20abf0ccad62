"""Windows of each objective: what they hold, what sees what, and how they make a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model_zoo.glm.pretraining.options import Options
from model_zoo.glm.pretraining.windows import Windows
from ppernie.data.corpus import Corpus
from ppernie.data.tokenizers import GlmTokenizer
from ppernie.errors import UserError
from ppernie.tasks.base import Features

LONGEST = 256


@pytest.fixture
def make(corpus: Corpus, letters: GlmTokenizer) -> Callable[..., Windows]:
    def make(rows: int = 2, longest: int = LONGEST, **options: Any) -> Windows:
        return Windows(corpus, letters, longest, rows, Options(**options), None)

    return make


def drawn(stream: Windows, count: int, length: int = LONGEST) -> list[Features]:
    return [stream.sample(n % len(stream), length, np.random.default_rng((5, n))) for n in range(count)]


def split(window: Features) -> list[tuple[list[int], list[int], list[int], list[int]]]:
    """Context, answers' tokens, their labels and masks' positions, of each sample; of two rows of positions."""
    starts, contexts, _ = window["visible"]
    labels, found = window["labels"].tolist(), []
    for start in sorted(set(starts.tolist())):
        size, context = int((starts == start).sum()), int(contexts[start]) - start
        tokens = window["input_ids"][start : start + size].tolist()
        masks = window["position_ids"][0, start + context : start + size].tolist()
        found.append((tokens[:context], tokens[context:], labels[: size - context], masks))
        labels = labels[size - context :]
    assert not labels
    return found


def filled(sample: tuple[list[int], list[int], list[int], list[int]], letters: GlmTokenizer) -> list[int]:
    """The text that a sample was made of."""
    context, answers, labels, masks = sample
    spans: dict[int, list[int]] = {}
    for token, label, mask in zip(answers, labels, masks, strict=True):
        if token == letters.sop_id:
            assert mask not in spans
            spans[mask] = []
        if label != letters.eop_id:
            spans[mask].append(label)
    assert all(context[mask] in (letters.mask_id, letters.gmask_id, letters.smask_id) for mask in spans)
    return [token for place, one in enumerate(context) for token in spans.get(place, [one])]


def whole_text(corpus: Corpus, letters: GlmTokenizer) -> list[int]:
    borders = corpus.sentences[corpus.documents]
    documents = [corpus.tokens[a:b].tolist() for a, b in zip(borders[:-1], borders[1:], strict=True)]
    return [token for document in documents for token in [*document, letters.eos_id]]


def occurs(text: list[int], whole: list[int]) -> bool:
    """Whether the tokens, which are all below 256, stand in the whole text in a row."""
    return bytes(text) in bytes(whole)


@pytest.mark.parametrize("length", [LONGEST, 160])
def test_gmask_hides_the_end(length: int, make: Any, corpus: Corpus, letters: GlmTokenizer) -> None:
    stream, whole, sizes = make(gmask=1.0), whole_text(corpus, letters), []
    for window in drawn(stream, 80, length):
        ((context, answers, labels, masks),) = split(window)
        assert len(context) + len(answers) == length
        assert context[-1] == letters.gmask_id and answers == [letters.sop_id, *labels[:-1]]
        assert occurs(context[:-1] + labels, whole)
        assert 0.2 * (length - 1) <= len(labels) <= length - 3
        sizes.append(len(labels))
    assert min(sizes) < 0.3 * length and max(sizes) > 0.9 * length


def test_spans_of_four_texts_in_a_row(make: Any, corpus: Corpus, letters: GlmTokenizer) -> None:
    whole = whole_text(corpus, letters)
    for window in drawn(make(gmask=0.0, single_span=0.0, short_samples=0.0), 40):
        samples = split(window)
        assert len(samples) == 4 and all(len(sample[0]) + len(sample[1]) == LONGEST // 4 for sample in samples)
        texts = [filled(sample, letters) for sample in samples]
        assert occurs([token for text in texts for token in text], whole)
        for text, (context, answers, labels, _) in zip(texts, samples, strict=True):
            hidden = len(labels) - labels.count(letters.eop_id)
            assert 0.15 * len(text) <= hidden < 0.15 * len(text) + 39
            assert context.count(letters.mask_id) == answers.count(letters.sop_id) == labels.count(letters.eop_id)
    shuffled = [sample[3] for window in drawn(make(gmask=0.0), 40) for sample in split(window)]
    assert any(masks != sorted(masks) for masks in shuffled) and any(masks == sorted(masks) for masks in shuffled)


def test_single_spans_and_short_samples(make: Any, corpus: Corpus, letters: GlmTokenizer) -> None:
    for window in drawn(make(gmask=0.0, single_span=1.0, short_samples=0.0), 20):
        assert [sample[0].count(letters.mask_id) for sample in split(window)] == [1] * 4
    whole, sizes = whole_text(corpus, letters), set()
    for window in drawn(make(gmask=0.0, single_span=0.0, short_samples=1.0), 60):
        samples = split(window)
        (size,) = {len(sample[0]) + len(sample[1]) for sample in samples}
        assert len(samples) == LONGEST // size
        assert occurs([token for sample in samples for token in filled(sample, letters)], whole)
        sizes.add(size)
    assert min(sizes) < 16 and max(sizes) > 48
    shares = Counter(len(split(window)) > 4 for window in drawn(make(gmask=0.0, short_samples=0.3), 400))
    assert shares[True] / 400 == pytest.approx(0.3, abs=0.08)


def test_hidden_sentences(make: Any, corpus: Corpus, letters: GlmTokenizer) -> None:
    whole = whole_text(corpus, letters)
    sentences = {tuple(corpus.tokens[a:b]) for a, b in zip(corpus.sentences[:-1], corpus.sentences[1:], strict=True)}
    known = 0
    for window in drawn(make(gmask=0.0, smask=1.0), 40):
        for sample in split(window):
            text, labels = filled(sample, letters), sample[2]
            assert occurs(text, whole)
            ends = [-1, *(place for place, label in enumerate(labels) if label == letters.eop_id)]
            known += sum(tuple(labels[a + 1 : b]) in sentences for a, b in zip(ends[:-1], ends[1:], strict=True))
            assert sample[0].count(letters.smask_id) == labels.count(letters.eop_id) <= 4
            assert letters.eos_id not in labels
    assert known > 100


def test_shares_of_the_objectives(make: Any, letters: GlmTokenizer) -> None:
    found = Counter(window["objective"] for window in drawn(make(smask=0.1), 1200))
    assert found["gmask"] / 1200 == pytest.approx(0.7, abs=0.05)
    assert found["mask"] / 1200 == pytest.approx(0.2, abs=0.05)
    assert found["smask"] / 1200 == pytest.approx(0.1, abs=0.04)


def test_a_sample_is_a_function_of_its_generator(make: Any) -> None:
    for one, other in zip(drawn(make(), 20), drawn(make(), 20), strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_one_row_of_positions_is_the_first_but_for_gmask(make: Any) -> None:
    for one, two in zip(drawn(make(1), 30), drawn(make(2), 30), strict=True):
        assert np.array_equal(one["input_ids"], two["input_ids"])
        first, second = two["position_ids"]
        expected = first + second if one["objective"] == "gmask" else first
        assert one["position_ids"].tolist() == [expected.tolist()]
        if one["objective"] == "gmask":
            assert expected.tolist() == list(range(len(expected)))


def test_a_batch(make: Any, letters: GlmTokenizer) -> None:
    stream = make()
    windows = [*drawn(stream, 12), stream.sample(0, 64, np.random.default_rng(0))]
    batch = stream.collate(windows, LONGEST)
    ids, width = batch["input_ids"], LONGEST
    assert ids.shape == (13, width) and batch["position_ids"].shape == (13, 2, width)
    assert {name for name in batch if name in ("gmask", "mask")} == {window["objective"] for window in windows}
    # Labels follow the positions, objective by objective.
    expected = []
    for name in ("gmask", "mask"):
        for row, window in enumerate(windows):
            if window["objective"] == name:
                pairs = zip(window["predicted_positions"].tolist(), window["labels"].tolist(), strict=True)
                expected += [(row * width + place, label) for place, label in pairs]
    labels = [*batch["gmask"].tolist(), *batch["mask"].tolist()]
    assert list(zip(batch["predicted_positions"].tolist(), labels, strict=True)) == expected
    # Seen are a sample's context, and in its answers what came before; padding sees itself and is not seen.
    for row, window in enumerate(windows):
        size = len(window["input_ids"])
        assert (ids[row, size:] == letters.pad_id).all() and (ids[row, :size] == window["input_ids"]).all()
        start, context, own = batch["visible"][row][:, :, None]
        i, j = np.arange(width)[:, None], np.arange(width)[None]
        seen = ((start <= j) & (j < context)) | ((own <= j) & (j <= i))
        brute = np.zeros((width, width), bool)
        begin = 0
        for sample in split(window):
            inner, whole = len(sample[0]), len(sample[0]) + len(sample[1])
            brute[begin : begin + whole, begin : begin + inner] = True
            brute[begin : begin + whole, begin : begin + whole] |= np.tri(whole, dtype=bool)
            begin += whole
        brute[size:, size:] = np.tri(width - size, dtype=bool)
        assert (seen == brute).all()


def test_a_window_too_small_for_its_samples(make: Any) -> None:
    with pytest.raises(UserError, match="31 tokens are too few for 4 samples.* at least 32"):
        make(longest=31)
    stream = make()
    with pytest.raises(UserError, match="Train.progressive.length"):
        for index in range(20):
            stream.sample(index, 24, np.random.default_rng(index))
    assert make(longest=32).sample(0, 32, np.random.default_rng(0))
