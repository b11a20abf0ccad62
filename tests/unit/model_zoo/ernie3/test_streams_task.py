"""The task over the streams: objectives, what they count, and that every loss is learned."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import pytest
from pydantic import ValidationError

from model_zoo.ernie3.universal.config import VARIANTS, UniversalConfig
from ppernie import registry
from ppernie.data.corpus import Corpus
from ppernie.data.streams import Shape, StreamBatches
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.engine.evaluate import evaluate_streams, network_inputs

ARCH = "ernie3/ErnieUniversalForPretraining"
OBJECTIVES = ["knowledge_masking", "reordering", "distance", "knowledge_text", "document"]
LENGTH = 24


@pytest.fixture
def make_task(letters: ErnieTokenizer) -> Callable[..., Any]:
    def make(max_length: int = LENGTH, **options: Any) -> Any:
        (name,) = registry.arch_tasks(ARCH)
        task = registry.task_class(name)
        return task(task.Options(**options), letters, max_length)

    return make


@pytest.fixture
def arch(letters: ErnieTokenizer) -> UniversalConfig:
    sizes = {
        "vocab_size": letters.vocab_size,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "max_position_embeddings": LENGTH,
        "memory_length": 8,
        "branch_hidden_size": 32,
        "branch_num_layers": 1,
        "branch_intermediate_size": 64,
    }
    return UniversalConfig(**VARIANTS["tiny"] | sizes)


@pytest.fixture
def model(arch: UniversalConfig) -> Any:
    paddle.seed(0)
    model = registry.arch_class(ARCH)(arch)
    model.reset_parameters()
    return model


def tensors(stream: Any, count: int = 6) -> tuple[dict[str, np.ndarray], dict[str, paddle.Tensor]]:
    rows = [stream.sample(index, LENGTH, np.random.default_rng(index)) for index in range(count)]
    arrays = stream.collate(rows, LENGTH)
    return arrays, {name: paddle.to_tensor(array) for name, array in arrays.items()}


def test_each_stream_has_its_objective(make_task: Any, corpus: Corpus, arch: UniversalConfig, model: Any) -> None:
    task = make_task(factors={"document": 2.5})
    assert task.objectives == {**dict.fromkeys(OBJECTIVES, 1.0), "document": 2.5}
    streams = task.streams(corpus, arch)
    assert list(streams) == OBJECTIVES
    units = {"reordering": 6, "distance": 6}
    for name, stream in streams.items():
        arrays, batch = tensors(stream)
        assert task.weights(arrays) == {name: units.get(name, len(arrays[name]))}
        outputs = model(**network_inputs(task, batch))
        sums = task.losses(outputs, batch)
        # From the log-probabilities, one by one.
        scores = outputs[{"knowledge_masking": "tokens", "knowledge_text": "tokens"}.get(name, name)].numpy()
        assert scores.shape[0] == len(arrays[name])
        likelihood = scores - np.log(np.exp(scores.astype(np.float64)).sum(-1, keepdims=True))
        expected = -sum(row[label] for row, label in zip(likelihood, arrays[name], strict=True))
        assert list(sums) == [name]
        np.testing.assert_allclose(float(sums[name]), expected, rtol=1e-5)


def test_a_factor_of_0_leaves_an_objective_out(
    make_task: Any, make_corpus: Callable[..., Corpus], arch: UniversalConfig
) -> None:
    task = make_task(factors={"knowledge_text": 0, "distance": 0.0})
    assert list(task.objectives) == ["knowledge_masking", "reordering", "document"]
    assert list(task.streams(make_corpus([[5, 5]]), arch)) == list(task.objectives)


def test_tokens_of_both_kinds_are_counted(
    make_task: Any, corpus: Corpus, arch: UniversalConfig, letters: ErnieTokenizer
) -> None:
    task = make_task()
    batches = StreamBatches(task, task.streams(corpus, arch), [Shape(4, LENGTH, 1)], 0, 0)
    for number, name in enumerate(OBJECTIVES):
        batch = batches.make(number, 0)
        ids = batch["document_ids" if name == "document" else "input_ids"]
        samples, tokens, *weights = batch["counts"].tolist()
        assert (samples, tokens) == (4, (ids != letters.pad_id).sum())
        assert [bool(weight) for weight in weights] == [other == name for other in OBJECTIVES]


@pytest.mark.parametrize("most", [1, 2, 4])
def test_the_orders_are_those_that_the_network_knows(
    most: int, make_task: Any, corpus: Corpus, arch: UniversalConfig
) -> None:
    arch = arch.model_copy(update={"max_reordered": most})
    stream = make_task().streams(corpus, arch)["reordering"]
    samples = [stream.sample(n % len(stream), LENGTH, np.random.default_rng(n)) for n in range(300)]
    last = max(int(sample["labels"].max()) for sample in samples)
    # The last classes are the orders of the most pieces.
    assert arch.reordering_classes - math.factorial(most) <= last < arch.reordering_classes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factors": dict.fromkeys(OBJECTIVES, 0)}, "at least one objective"),
        ({"factors": {"documents": 1}}, "documents"),
        ({"factors": {"document": -1}}, "document"),
        ({"mask_rate": 0}, "mask_rate"),
        ({"segments": 0}, "segments"),
        ({"max_reordered": 3}, "max_reordered"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str, make_task: Any) -> None:
    with pytest.raises(ValidationError, match=message):
        make_task(**options)


@pytest.mark.parametrize("length", [16, LENGTH])
def test_sizes_are_those_of_the_samples(
    length: int, make_task: Any, make_corpus: Callable[..., Corpus], arch: UniversalConfig
) -> None:
    rng = np.random.default_rng(2)
    documents = [rng.integers(1, 15, rng.integers(1, 13)).tolist() for _ in range(40)]
    corpus = make_corpus(documents, facts=30, source_of=[0, 1] * 20, weights=(1.0, 2.0))
    streams = make_task(segments=2).streams(corpus, arch.model_copy(update={"max_reordered": 1}))
    for name, special in {"knowledge_masking": 2, "reordering": 2, "knowledge_text": 5, "document": 0}.items():
        stream = streams[name]
        indices = rng.permutation(len(stream))
        samples = [stream.sample(index, length, np.random.default_rng(0)) for index in indices.tolist()]
        expected = [len(sample["document_ids" if name == "document" else "input_ids"]) - special for sample in samples]
        found = stream.sizes(indices, length)
        if name == "knowledge_text":  # but for names that are cut to a quarter of the room
            assert (found >= expected).all() and (found == expected).mean() > 0.5
        else:
            assert found.tolist() == expected
        assert len(set(expected)) > 1


def test_training_lowers_every_loss(
    make_task: Any, make_corpus: Callable[..., Corpus], arch: UniversalConfig, model: Any
) -> None:
    """A corpus so small that it can be learned by heart."""
    task = make_task(segments=2)
    corpus = make_corpus([[6, 7, 5], [4, 8, 6, 5]], facts=6)
    streams = task.streams(corpus, arch)
    optimizer = paddle.optimizer.AdamW(5e-3, parameters=model.parameters())
    batches = StreamBatches(task, streams, [Shape(8, LENGTH, 1)] * 80, 0, 0)
    means: dict[str, list[float]] = {name: [] for name in OBJECTIVES}
    for batch, counts in batches.iterate(0):
        sums = task.losses(model(**network_inputs(task, batch)), batch)
        units = dict(zip(task.objectives, counts.weights, strict=True))
        ((name, mean),) = [(name, value / units[name]) for name, value in sums.items()]
        means[name].append(float(mean))
        mean.backward()
        if name == OBJECTIVES[-1]:
            assert all(parameter.grad is not None for parameter in model.parameters())
            optimizer.step()
            optimizer.clear_grad()
    for name, losses in means.items():
        assert np.mean(losses[-20:]) < 0.9 * np.mean(losses[:5]), (name, losses)


def test_evaluation_has_every_loss(make_task: Any, corpus: Corpus, arch: UniversalConfig, model: Any) -> None:
    task = make_task(factors={"document": 0.5})
    streams = task.streams(corpus, arch)
    found = evaluate_streams(model, task, streams, 4, 10)
    assert found.keys() == {"loss", *OBJECTIVES}
    assert found["loss"] == pytest.approx(sum(found[name] for name in OBJECTIVES) - 0.5 * found["document"])
