from __future__ import annotations

from typing import Any

import numpy as np
import paddle
import pytest
from pydantic import ValidationError

import model_zoo.ernie3 as family
from model_zoo.ernie3 import modeling
from model_zoo.ernie3.config import ErnieConfig

TINY: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "task_type_vocab_size": 3,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}


def config(**changes: Any) -> ErnieConfig:
    return ErnieConfig(**(TINY | changes))


def ids(*shape: int) -> paddle.Tensor:
    return paddle.to_tensor(np.random.default_rng(0).integers(1, TINY["vocab_size"], shape))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("tasks", [0, 3])
def test_shapes_of_every_head(training: bool, tasks: int) -> None:
    shape = config(task_type_vocab_size=tasks)
    models = {
        "ErnieForSequenceClassification": (modeling.ErnieForSequenceClassification(shape, 5), (4, 7), [4, 5]),
        "ErnieForTokenClassification": (modeling.ErnieForTokenClassification(shape, 6), (4, 7), [4, 7, 6]),
        "ErnieForQuestionAnswering": (modeling.ErnieForQuestionAnswering(shape), (4, 7), [4, 7, 2]),
        "ErnieForMultipleChoice": (modeling.ErnieForMultipleChoice(shape), (4, 3, 7), [4, 3]),
        "ErnieForMaskedLM": (modeling.ErnieForMaskedLM(shape), (4, 7), [4, 7, 50]),
    }
    assert {*models, "ErnieModel", "ErnieDualEncoder"} == set(family.architectures)
    for model, inputs, outputs in models.values():
        model.train() if training else model.eval()
        assert model(ids(*inputs)).shape == outputs
        assert model(ids(*inputs), token_type_ids=paddle.ones(inputs, "int64")).shape == outputs


def test_shapes_of_the_encoder_and_of_the_dual_encoder() -> None:
    sequence, pooled = modeling.ErnieModel(config())(ids(4, 7))
    assert (sequence.shape, pooled.shape) == ([4, 7, 24], [4, 24])
    dual = modeling.ErnieDualEncoder(config())
    dual.reset_parameters()
    dual.eval()
    assert dual.encode(ids(4, 7)).norm(axis=-1).numpy() == pytest.approx(1, abs=1e-6)
    assert dual(ids(4, 7), ids(4, 9)).shape == [4]
    assert dual(ids(4, 7), ids(4, 7)).numpy() == pytest.approx(1, abs=1e-6)


def test_masked_positions_are_rows_of_the_whole() -> None:
    model = modeling.ErnieForMaskedLM(config())
    model.reset_parameters()
    model.eval()
    positions = paddle.to_tensor([0, 8, 27])
    some = model(ids(4, 7), masked_positions=positions)
    assert some.shape == [3, 50]
    whole = model(ids(4, 7)).reshape([-1, 50]).gather(positions)
    assert np.allclose(some.numpy(), whole.numpy(), atol=1e-6)


def test_padding_changes_nothing() -> None:
    model = modeling.ErnieModel(config())
    model.reset_parameters()
    model.eval()
    padded = paddle.concat([ids(4, 7), paddle.zeros([4, 5], "int64")], axis=1)
    for short, long in zip(model(ids(4, 7)), model(padded), strict=True):
        long = long[:, :7] if long.ndim == 3 else long
        assert np.allclose(short.numpy(), long.numpy(), atol=1e-6)


def test_segments_tasks_and_positions_default_to_their_first() -> None:
    model = modeling.ErnieModel(config())
    model.reset_parameters()
    model.eval()
    zeros = paddle.zeros([4, 7], "int64")
    plain = model(ids(4, 7))[0].numpy()
    positions = paddle.arange(7).expand([4, 7])
    explicit = model(ids(4, 7), token_type_ids=zeros, position_ids=positions, task_type_ids=zeros)[0].numpy()
    assert np.allclose(plain, explicit, atol=1e-6)
    for name in ("token_type_ids", "position_ids", "task_type_ids"):
        assert not np.allclose(plain, model(ids(4, 7), **{name: zeros + 1})[0].numpy(), atol=1e-3)


def test_new_weights() -> None:
    paddle.seed(0)
    model = modeling.ErnieForMaskedLM(config(vocab_size=2000, initializer_range=0.05))
    model.reset_parameters()
    table = model.backbone.embeddings.word_embeddings.weight.numpy()
    assert table.std() == pytest.approx(0.05, rel=0.02)
    for name, parameter in model.named_parameters():
        values = parameter.numpy()
        if parameter.ndim == 2:
            assert values.std() == pytest.approx(0.05, rel=0.3), name
        else:
            assert (values == float("norm" in name and name.endswith("weight"))).all(), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": 5}, "hidden_size 24 is not a multiple of num_attention_heads 5"),
        ({"pad_token_id": 50}, "pad_token_id 50 lies outside the vocabulary of 50"),
        ({"pad_token_id": -1}, "pad_token_id"),
        ({"hidden_act": "swish"}, "hidden_act"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob"),
        ({"classifier_dropout": -0.1}, "classifier_dropout"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps"),
        ({"initializer_range": 0.0}, "initializer_range"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers"),
        ({"task_type_vocab_size": -1}, "task_type_vocab_size"),
        ({"hiden_size": 24}, "hiden_size"),
    ],
)
def test_bad_configs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**changes)


@pytest.mark.parametrize("field", list(TINY))
def test_every_field_is_explicit(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        ErnieConfig(**{name: value for name, value in TINY.items() if name != field})


def test_dropout_of_the_head() -> None:
    assert config().head_dropout == 0.1
    assert config(classifier_dropout=0.0).head_dropout == 0.0
    assert modeling.ErnieForSequenceClassification(config(classifier_dropout=0.3), 2).dropout.p == 0.3
