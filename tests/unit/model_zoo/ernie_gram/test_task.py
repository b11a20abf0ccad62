"""The task and its stream: samples of a corpus, objectives, what is counted, and training on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import paddle
import pytest
from pydantic import ValidationError

from ppernie import registry
from ppernie.data.corpus.lexicon import Lexicon
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError

NAME = "ernie_gram/ngram_masking"
GENERATOR = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}


@pytest.fixture
def corpus(make_corpus: Callable[..., Any]) -> Any:
    """20 documents of 3 to 6 sentences, in which "ab" and "cde" stand often."""
    rng = np.random.default_rng(0)
    words = [[5, 6], [7, 8, 9], [10], [11], [12, 5]]
    return make_corpus(
        [
            [[t for _ in range(rng.integers(1, 8)) for t in words[rng.integers(5)]] for _ in range(rng.integers(3, 7))]
            for _ in range(20)
        ]
    )


@pytest.fixture
def make_task(letters: ErnieTokenizer, make_lexicon: Callable[..., Lexicon], tmp_path: Path) -> Callable[..., Any]:
    lexicon = tmp_path / "lexicon.safetensors"
    make_lexicon("ab", "cde").save(lexicon)

    def make(tokenizer: ErnieTokenizer = letters, max_length: int = 64, **options: Any) -> Any:
        task = registry.task_class(NAME)
        return task(task.Options(**{"lexicon": str(lexicon)} | options), tokenizer, max_length)

    return make


OBJECTIVES = [
    ({"prediction": "contiguous"}, {"tokens": 1.0}),
    ({"prediction": "contiguous", "lexicon": None}, {"tokens": 1.0}),
    ({"prediction": "explicit"}, {"identities": 1.0}),
    ({}, {"tokens": 1.0, "identities": 1.0}),
    (
        {"generator": GENERATOR, "original_weight": 50.0},
        {"tokens": 1.0, "identities": 1.0, "generator": 1.0, "original": 50.0},
    ),
    (
        {"generator": GENERATOR, "prediction": "explicit"},
        {"identities": 1.0, "generator": 1.0, "original": 1.0},
    ),
]


@pytest.mark.parametrize(("options", "factors"), OBJECTIVES)
def test_objectives_and_what_they_count(
    options: dict[str, Any], factors: dict[str, float], make_task: Any, corpus: Any, letters: ErnieTokenizer
) -> None:
    task = make_task(**options)
    assert task.objectives == factors
    (stream,) = task.streams(corpus, None).values()
    samples = [stream.sample(i, 64, np.random.default_rng(i)) for i in range(6)]
    batch = stream.collate(samples, 64)
    weights = task.weights(batch)
    assert weights.keys() == factors.keys()
    masks = {"contiguous": "tokens"}.get(options.get("prediction", ""), "identities")
    assert weights[masks] == sum(int((sample["input_ids"] == letters.mask_id).sum()) for sample in samples)
    if "original" in weights:
        assert weights["original"] == sum(len(sample["input_ids"]) for sample in samples)


@pytest.mark.parametrize("options", [options for options, _ in OBJECTIVES])
def test_a_batch_goes_through_the_network(options: dict[str, Any], make_task: Any, corpus: Any, gram: Any) -> None:
    task = make_task(**options)
    network = registry.arch_class("ernie_gram/ErnieGramForPretraining")
    assert registry.arch_tasks("ernie_gram/ErnieGramForPretraining") == (NAME,)
    model = network(gram.config(), **task.head())
    (stream,) = task.streams(corpus, None).values()
    arrays = stream.collate([stream.sample(i, 40, np.random.default_rng(i)) for i in range(4)], 40)
    batch = {name: paddle.to_tensor(array) for name, array in arrays.items()}
    inputs = {name: batch[name] for name in (*task.input_names, "masked_positions") if name in batch}
    assert batch.keys() - inputs.keys() <= {"tokens", "identities"}
    sums = task.losses(model(**inputs), batch)
    assert sums.keys() == task.objectives.keys()
    assert all(np.isfinite(float(value)) for value in sums.values())


def test_samples_are_parts_of_their_windows(make_task: Any, corpus: Any) -> None:
    (stream,) = make_task().streams(corpus, None).values()
    assert len(stream) == 20
    starts = set()
    for index in range(20):
        first, last = corpus.documents[index : index + 2]
        text = corpus.tokens[corpus.sentences[first] : corpus.sentences[last]].tolist()
        for seed in range(8):
            for length in (14, 64):
                sample = stream.sample(index, length, np.random.default_rng(seed))
                again = stream.sample(index, length, np.random.default_rng(seed))
                assert all(np.array_equal(sample[name], again[name]) for name in sample)
                size = int(sample["position_ids"][-1]) - 1
                assert size == min(length - 2, len(text))
                assert stream.sizes(np.asarray([index]), length).tolist() == [size]
                read = dict(zip(sample["query_position_ids"].tolist(), sample["tokens"].tolist(), strict=True))
                ids = zip(sample["position_ids"].tolist(), sample["input_ids"].tolist(), strict=True)
                read = {place: token for place, token in ids if 0 < place <= size} | read
                spelt = [read[place] for place in range(1, size + 1)]
                found = [i for i in range(len(text) - size + 1) if text[i : i + size] == spelt]
                assert found
                starts.add(found[0])
    assert len(starts) > 20


def test_units_keep_to_their_sentences(make_task: Any, make_corpus: Any, make_lexicon: Any) -> None:
    """ "ab" across a border is two units, inside a sentence one."""
    (stream,) = make_task(mask_rate=0.99).streams(make_corpus([[[10, 5], [6, 5, 6]]]), None).values()
    sample = stream.sample(0, 64, np.random.default_rng(0))
    assert sample["position_ids"].tolist() == [0, 1, 2, 3, 4, 6]


def test_without_a_lexicon_tokens_are_hidden_one_by_one(make_task: Any, make_corpus: Any) -> None:
    """ "abcde" is two units of the lexicon, of which one is hidden whole, and five tokens."""
    corpus = make_corpus([[[5, 6, 7, 8, 9]]])
    for options, sizes in (({}, {2, 3}), ({"lexicon": None}, {1})):
        (stream,) = make_task(prediction="contiguous", mask_rate=0.2, **options).streams(corpus, None).values()
        samples = [stream.sample(0, 64, np.random.default_rng(seed)) for seed in range(20)]
        assert {len(sample["tokens"]) for sample in samples} == sizes


def test_a_lexicon_of_another_vocabulary(letters: ErnieTokenizer, make_task: Any) -> None:
    with pytest.raises(UserError, match="made with another tokenizer"):
        make_task(ErnieTokenizer([*letters.tokens, "z"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"generator": {}, "prediction": "contiguous"}, "a generator needs units under one mask each"),
        ({"generator": {"hidden_size": 10}}, "not a multiple"),
        ({"lexicon": None}, "comprehensive needs a lexicon; make one with ppernie lexicon"),
        ({"generators": {}}, "generators"),
        ({"mask_rate": 1.0}, "mask_rate"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str, make_task: Any) -> None:
    with pytest.raises(ValidationError, match=message):
        make_task(**options)


def test_training_lowers_every_loss(make_task: Any, corpus: Any, gram: SimpleNamespace) -> None:
    task = make_task(generator=GENERATOR)
    model = gram.build("comprehensive", True, 33, num_ngrams=(1, 1))
    optimizer = paddle.optimizer.AdamW(5e-3, parameters=model.parameters())
    (stream,) = task.streams(corpus, None).values()
    means = []
    for step in range(60):
        samples = [stream.sample(i, 40, np.random.default_rng((step, i))) for i in range(20)]
        arrays = stream.collate(samples, 40)
        batch = {name: paddle.to_tensor(array) for name, array in arrays.items()}
        inputs = {name: batch[name] for name in (*task.input_names, "masked_positions")}
        weights = task.weights(arrays)
        losses = {name: total / weights[name] for name, total in task.losses(model(**inputs), batch).items()}
        paddle.add_n(list(losses.values())).backward()
        optimizer.step()
        optimizer.clear_grad()
        means.append({name: float(value) for name, value in losses.items()})
    for name in task.objectives:
        early, late = (np.mean([mean[name] for mean in part]) for part in (means[:5], means[-10:]))
        assert late < 0.8 * early, (name, early, late)
