from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from pydantic import ValidationError

import model_zoo.ernie_gram as family
from model_zoo.ernie_gram import modeling
from model_zoo.ernie_gram.config import ErnieGramConfig
from ppernie.export import Contents, Field, export_model
from ppernie.inference.predictor import Predictor

TINY: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 120,
    "type_vocab_size": 2,
    "initializer_range": 0.2,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 0,
}
HEADS = {
    "ErnieGramForSequenceClassification": ({"num_labels": 5}, [4, 5]),
    "ErnieGramForTokenClassification": ({"num_labels": 6}, [4, 7, 6]),
    "ErnieGramForQuestionAnswering": ({}, [4, 7, 2]),
    "ErnieGramForMultipleChoice": ({}, [4, 3]),
    "ErnieGramForMaskedLM": ({}, [4, 7, 50]),
}


def build(name: str, rel_pos_size: int, **head: int) -> Any:
    paddle.seed(0)
    model = getattr(modeling, name)(ErnieGramConfig(**TINY, rel_pos_size=rel_pos_size), **head)
    model.reset_parameters()
    model.eval()
    return model


def ids(*shape: int) -> paddle.Tensor:
    return paddle.to_tensor(np.random.default_rng(0).integers(1, TINY["vocab_size"], shape))


@pytest.fixture(params=[0, 33])
def rel_pos_size(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.mark.parametrize(
    ("vocab_size", "rel_pos_size", "parameters"), [(18018, 0, 99_879_168), (30522, 33, 109_482_636)]
)
def test_parameters_of_the_released_sizes(vocab_size: int, rel_pos_size: int, parameters: int) -> None:
    sizes = {"vocab_size": vocab_size, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
    sizes |= {"intermediate_size": 3072, "max_position_embeddings": 512, "rel_pos_size": rel_pos_size}
    with paddle.LazyGuard():
        model = modeling.ErnieGramModel(ErnieGramConfig(**(TINY | sizes)))
    assert sum(int(np.prod(p.shape)) for p in model.parameters()) == parameters


@pytest.mark.parametrize("name", HEADS)
def test_every_head_runs_and_trains(name: str, rel_pos_size: int) -> None:
    head, outputs = HEADS[name]
    model = build(name, rel_pos_size, **head)
    inputs = ids(4, 3, 7) if name.endswith("MultipleChoice") else ids(4, 7)
    assert model(inputs).shape == outputs
    model.train()
    (model(inputs, token_type_ids=paddle.ones_like(inputs)) ** 2).sum().backward()
    assert ("backbone.relative_positions.weight" in model.state_dict()) == bool(rel_pos_size)
    if rel_pos_size:
        assert model.backbone.relative_positions.weight.grad.abs().max() > 0


def test_the_dual_encoder(rel_pos_size: int) -> None:
    dual = build("ErnieGramDualEncoder", rel_pos_size)
    assert dual(ids(4, 7), ids(4, 9)).shape == [4]
    assert dual(ids(4, 7), ids(4, 7)).numpy() == pytest.approx(1, abs=1e-6)
    assert set(family.architectures) == {*HEADS, "ErnieGramDualEncoder", "ErnieGramModel"}


def test_padding_changes_nothing(rel_pos_size: int) -> None:
    model = build("ErnieGramModel", rel_pos_size)
    padded = paddle.concat([ids(4, 7), paddle.zeros([4, 5], "int64")], axis=1)
    for short, long in zip(model(ids(4, 7)), model(padded), strict=True):
        long = long[:, :7] if long.ndim == 3 else long
        np.testing.assert_allclose(short.numpy(), long.numpy(), atol=1e-5)


def test_positions_default_to_the_order_of_the_tokens(rel_pos_size: int) -> None:
    model = build("ErnieGramModel", rel_pos_size)
    plain = model(ids(4, 7))[0].numpy()
    order = paddle.arange(7).expand([4, 7])
    np.testing.assert_allclose(model(ids(4, 7), position_ids=order)[0].numpy(), plain, atol=1e-5)
    assert not np.allclose(model(ids(4, 7), position_ids=order.flip(1))[0].numpy(), plain, atol=1e-2)


@pytest.mark.parametrize("training", [True, False])
def test_the_first_tokens_alone_are_enough(training: bool, rel_pos_size: int) -> None:
    model = build("ErnieGramModel", rel_pos_size)
    whole, pooled = model(ids(4, 7))
    with paddle.set_grad_enabled(training):
        first, same = model(ids(4, 7), queries=2)
    np.testing.assert_allclose(first.numpy(), whole[:, :2].numpy(), atol=1e-5)
    np.testing.assert_allclose(same.numpy(), pooled.numpy(), atol=1e-5)


def test_every_layer_has_the_bias() -> None:
    model = build("ErnieGramModel", 33)
    received = []
    for layer in model.encoder.layers:
        layer.self_attn.register_forward_pre_hook(lambda _, inputs: received.append(inputs[1]))
    model(ids(4, 7))
    bias = model.relative_positions(paddle.arange(7).unsqueeze(0))
    assert len(received) == TINY["num_hidden_layers"]
    for mask in received:
        np.testing.assert_array_equal(mask.numpy(), bias.expand([4, 3, 7, 7]).numpy())


@pytest.mark.parametrize("name", ["ErnieGramForSequenceClassification", "ErnieGramForQuestionAnswering"])
def test_an_export_answers_at_every_length(name: str, rel_pos_size: int, tmp_path: Path) -> None:
    model = build(name, rel_pos_size, **HEADS[name][0])
    fields = [Field("input_ids", "int64", ("batch", "length"), 0, 50)]
    samples = [{"input_ids": ids(*shape).numpy()} for shape in ((1, 1), (3, 9), (2, 110))]
    dims = ("batch", "classes") if name.endswith("Classification") else ("batch", "length", "ends")
    export_model(model, Contents(fields, [dims], 120, samples), tmp_path / "export", 1e-4)
    predictor = Predictor(tmp_path / "export", device="cpu")
    for shape in ((1, 2), (5, 100)):
        padded = ids(*shape).numpy()
        padded[0, 1:] = 0
        (output,) = predictor.run({"input_ids": padded})
        np.testing.assert_allclose(output, model(paddle.to_tensor(padded)).numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rel_pos_size": 32}, "rel_pos_size"),
        ({"rel_pos_size": None}, "rel_pos_size"),
        ({"task_type_vocab_size": 3}, "task_type_vocab_size"),
        ({"num_attention_heads": 5}, "hidden_size 24 is not a multiple of num_attention_heads 5"),
        ({"rel_pos_sise": 33}, "rel_pos_sise"),
    ],
)
def test_bad_configs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ErnieGramConfig(**(TINY | {"rel_pos_size": 33} | changes))


@pytest.mark.parametrize("field", [*TINY, "rel_pos_size"])
def test_every_field_is_explicit(field: str) -> None:
    values = TINY | {"rel_pos_size": 0}
    with pytest.raises(ValidationError, match=field):
        ErnieGramConfig(**{name: value for name, value in values.items() if name != field})
