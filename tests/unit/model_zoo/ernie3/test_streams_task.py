"""The task over the streams: objectives, what they count, and that every loss is learned."""

from __future__ import annotations

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
from ppernie.errors import UserError

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
def model(letters: ErnieTokenizer) -> Any:
    paddle.seed(0)
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
    model = registry.arch_class(ARCH)(UniversalConfig(**VARIANTS["tiny"] | sizes))
    model.reset_parameters()
    return model


def tensors(stream: Any, count: int = 6) -> tuple[dict[str, np.ndarray], dict[str, paddle.Tensor]]:
    rows = [stream.sample(index, LENGTH, np.random.default_rng(index)) for index in range(count)]
    arrays = stream.collate(rows, LENGTH)
    return arrays, {name: paddle.to_tensor(array) for name, array in arrays.items()}


def test_each_stream_has_its_objective(make_task: Any, corpus: Corpus, model: Any) -> None:
    task = make_task(factors={"document": 2.5})
    assert task.objectives == {**dict.fromkeys(OBJECTIVES, 1.0), "document": 2.5}
    streams = task.streams(corpus)
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


def test_a_factor_of_0_leaves_an_objective_out(make_task: Any, make_corpus: Callable[..., Corpus]) -> None:
    task = make_task(factors={"knowledge_text": 0, "distance": 0.0})
    assert list(task.objectives) == ["knowledge_masking", "reordering", "document"]
    assert list(task.streams(make_corpus([[5, 5]]))) == list(task.objectives)


def test_tokens_of_both_kinds_are_counted(make_task: Any, corpus: Corpus, letters: ErnieTokenizer) -> None:
    task = make_task()
    batches = StreamBatches(task, task.streams(corpus), [Shape(4, LENGTH)], 1, 0, 0)
    for number, name in enumerate(OBJECTIVES):
        batch = batches.make(number, 0)
        ids = batch["document_ids" if name == "document" else "input_ids"]
        samples, tokens, *weights = batch["counts"].tolist()
        assert (samples, tokens) == (4, (ids != letters.pad_id).sum())
        assert [bool(weight) for weight in weights] == [other == name for other in OBJECTIVES]


def test_classes_that_the_network_has_not(make_task: Any, corpus: Corpus, model: Any) -> None:
    task = make_task(max_reordered=4)
    _, batch = tensors(task.streams(corpus)["reordering"])
    with pytest.raises(UserError, match=r"33 classes, and the network has 9; set Arch\.max_reordered"):
        task.losses(model(**network_inputs(task, batch)), batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factors": dict.fromkeys(OBJECTIVES, 0)}, "at least one objective"),
        ({"factors": {"documents": 1}}, "documents"),
        ({"factors": {"document": -1}}, "document"),
        ({"mask_rate": 0}, "mask_rate"),
        ({"segments": 0}, "segments"),
        ({"max_reordered": 9}, "max_reordered"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str, make_task: Any) -> None:
    with pytest.raises(ValidationError, match=message):
        make_task(**options)


def test_training_lowers_every_loss(make_task: Any, make_corpus: Callable[..., Corpus], model: Any) -> None:
    """A corpus so small that it can be learned by heart."""
    task = make_task(segments=2)
    corpus = make_corpus([[6, 7, 5], [4, 8, 6, 5]], facts=6)
    streams = task.streams(corpus)
    optimizer = paddle.optimizer.AdamW(5e-3, parameters=model.parameters())
    batches = StreamBatches(task, streams, [Shape(8, LENGTH)] * 80, 1, 0, 0)
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


def test_evaluation_has_every_loss(make_task: Any, corpus: Corpus, model: Any) -> None:
    task = make_task(factors={"document": 0.5})
    streams = task.streams(corpus)
    found = evaluate_streams(model, task, streams, 4, 10)
    assert found.keys() == {"loss", *OBJECTIVES}
    assert found["loss"] == pytest.approx(sum(found[name] for name in OBJECTIVES) - 0.5 * found["document"])
