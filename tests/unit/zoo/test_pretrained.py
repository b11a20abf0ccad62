"""Heads over pretrained encoders: which are taken, which are made new, and which are refused."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ppernie
from ppernie.errors import UserError
from ppernie.export import Contents, Field, export_model
from ppernie.inference.predictor import Predictor

HEADS = {
    "sequence_classification": "ForSequenceClassification",
    "cross_similarity": "ForSequenceClassification",
    "token_classification": "ForTokenClassification",
    "span_extraction": "ForQuestionAnswering",
    "multiple_choice": "ForMultipleChoice",
    "dual_similarity": "DualEncoder",
    "masked_language_modeling": "ForMaskedLM",
}
COUNTED = ("sequence_classification", "cross_similarity", "token_classification")
LIBRARY = pytest.mark.parametrize("library", ["paddlenlp", "huggingface"])


@pytest.fixture(scope="module")
def origins(make_origin: Callable[..., Any]) -> dict[str, Any]:
    """A network of every kind; their encoders are equal."""
    return {kind: make_origin(kind) for kind in ("Model", *HEADS.values())}


def states(model: Any) -> dict[str, np.ndarray]:
    return {name: parameter.numpy() for name, parameter in model.named_parameters()}


def assert_encoder(model: Any, origin: Any) -> None:
    """Every tensor of the encoder has the origin's bits."""
    theirs = {name.removeprefix("backbone."): array for name, array in origin.state.items()}
    own = {
        name.removeprefix("backbone."): array for name, array in states(model).items() if name.startswith("backbone.")
    }
    own = own or states(model)
    assert own.keys() >= {"embeddings.word_embeddings.weight", "encoder.layers.1.norm2.bias", "pooler.weight"}
    for name, array in own.items():
        assert array.tobytes() == theirs[name].tobytes(), name


@LIBRARY
@pytest.mark.parametrize("kind", sorted({"Model", *HEADS.values()}))
def test_by_default_the_stored_network(
    kind: str, library: str, origins: dict[str, Any], outputs: Callable[..., Any], tmp_path: Path
) -> None:
    model = ppernie.from_pretrained(origins[kind].save(tmp_path / "there", library))
    # Both libraries know a dual encoder as its encoder.
    assert type(model).__name__ == f"Ernie{'Model' if kind == 'DualEncoder' else kind}"
    assert not model.training
    if kind != "DualEncoder":
        for one, other in zip(outputs(model), outputs(origins[kind].model), strict=True):
            np.testing.assert_array_equal(one, other)


@LIBRARY
@pytest.mark.parametrize("head", HEADS)
def test_each_task_over_a_bare_encoder(
    head: str, library: str, origins: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = origins["Model"].save(tmp_path / "there", library)
    if head in COUNTED:
        with pytest.raises(UserError, match=r"holds no such head; say how many classes .* \(num_labels=\.\.\.\)"):
            ppernie.from_pretrained(folder, head)
    model = ppernie.from_pretrained(folder, head, num_labels=5 if head in COUNTED else None)
    assert type(model).__name__ == f"Ernie{HEADS[head]}"
    assert_encoder(model, origins["Model"])
    new = {name: array for name, array in states(model).items() if not name.startswith("backbone.")}
    logged = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(logged) == bool(new)
    for name, array in new.items():
        assert f"'{name}'" in logged[0]
        if name.endswith("bias"):
            assert not array.any()
        elif "norm" not in name:
            # Drawn, and not what was in memory.
            assert 0.001 < np.abs(array).mean() < 0.05
    if head in COUNTED:
        assert new["classifier.bias"].shape == (5,)


@LIBRARY
@pytest.mark.parametrize("head", [*HEADS, "encoder"])
def test_each_task_over_a_pretraining_checkpoint(
    head: str, library: str, origins: dict[str, Any], outputs: Callable[..., Any], tmp_path: Path
) -> None:
    """Masked language model and next sentence, as the libraries' pretraining classes hold them."""
    origin = origins["ForMaskedLM"]
    name = {"paddlenlp": "ErnieForPretraining", "huggingface": "ErnieForPreTraining"}[library]
    folder = origin.save(tmp_path / "there", library, architectures=[name])
    add(folder, library, {"cls.seq_relationship.weight": (16, 2), "cls.seq_relationship.bias": (2,)})
    model = ppernie.from_pretrained(folder, head, num_labels=3 if head in COUNTED else None)
    assert_encoder(model, origin)
    if head == "masked_language_modeling":
        np.testing.assert_array_equal(outputs(model)[0], outputs(origin.model)[0])
        np.testing.assert_array_equal(outputs(ppernie.from_pretrained(folder))[0], outputs(origin.model)[0])


def add(folder: Path, library: str, shapes: dict[str, tuple[int, ...]], drop: tuple[str, ...] = ()) -> None:
    """More tensors in a folder's weights, and fewer."""
    from safetensors.numpy import load_file, save_file

    rng = np.random.default_rng(2)
    more = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    if library == "huggingface":
        path = folder / "model.safetensors"
        weights = load_file(path) | more
        save_file({name: array for name, array in weights.items() if name not in drop}, path, {"format": "pt"})
        return
    path = folder / "model_state.pdparams"
    weights = pickle.loads(path.read_bytes()) | more
    path.write_bytes(pickle.dumps({name: array for name, array in weights.items() if name not in drop}))


@pytest.mark.parametrize("legacy", [False, True])
def test_the_head_of_an_information_extractor_is_left(
    legacy: bool, origins: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    origin = origins["ForTokenClassification"]
    folder = origin.save(tmp_path / "there", "paddlenlp", architectures=["UIE"])
    linear = {f"linear_{end}.{which}": shape for end in ("start", "end") for which, shape in LINEAR.items()}
    add(folder, "paddlenlp", linear, drop=("classifier.weight", "classifier.bias"))
    if legacy:
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").unlink()
        encoder = {name: value for name, value in values.items() if name not in ("architectures", "model_type")}
        nested = {"init_args": [encoder | {"init_class": "ErnieModel"}], "init_class": "UIE"}
        (folder / "model_config.json").write_text(json.dumps(nested))
    with pytest.raises(UserError, match=r"its head, UIE, is not one that is here; take its encoder \(head='encoder'\)"):
        ppernie.from_pretrained(folder)
    caplog.set_level(logging.INFO, "ppernie")
    assert_encoder(ppernie.from_pretrained(folder, "encoder"), origin)
    assert all(name in caplog.text for name in linear)


LINEAR = {"weight": (16, 1), "bias": (1,)}


@LIBRARY
def test_a_head_of_the_same_shape_is_not_taken_for_another_tasks(
    library: str, make_origin: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    origin = make_origin("ForSequenceClassification", labels=2)
    folder = origin.save(tmp_path / "there", library, id2label={"0": "a", "1": "b"}, label2id={})
    for head in ("token_classification", "span_extraction"):
        caplog.clear()
        model = ppernie.from_pretrained(folder, head, num_labels=2 if head in COUNTED else None)
        assert (model.classifier.weight.numpy() != origin.state["classifier.weight"]).all()
        assert "newly initialized: ['classifier.weight', 'classifier.bias']" in caplog.text
    # The tasks that share a class share its head.
    model = ppernie.from_pretrained(folder, "cross_similarity")
    np.testing.assert_array_equal(model.classifier.weight.numpy(), origin.state["classifier.weight"])


@LIBRARY
def test_new_heads_on_demand(library: str, origins: dict[str, Any], tmp_path: Path) -> None:
    origin = origins["ForSequenceClassification"]
    folder = origin.save(tmp_path / "there", library)
    task = "sequence_classification"
    with pytest.raises(UserError, match=r"classifier.bias: shape \[3\] instead of \[5\](.|\n)*new_head"):
        ppernie.from_pretrained(folder, task, num_labels=5)
    model = ppernie.from_pretrained(folder, task, num_labels=5, new_head=True)
    assert_encoder(model, origin)
    assert model.classifier.weight.shape == [16, 5]
    model = ppernie.from_pretrained(folder, task, num_labels=3, new_head=True)
    assert (model.classifier.weight.numpy() != origin.state["classifier.weight"]).all()
    add(folder, library, {}, drop=("classifier.bias",))
    with pytest.raises(UserError, match="classifier.bias: missing"):
        ppernie.from_pretrained(folder, task, num_labels=3)
    assert_encoder(ppernie.from_pretrained(folder, task, num_labels=3, new_head=True), origin)
    with pytest.raises(UserError, match="unknown head of ernie3 'sequence_clasification': did you mean"):
        ppernie.from_pretrained(folder, "sequence_clasification")


def test_a_masked_language_model_without_a_pooler(origins: dict[str, Any], tmp_path: Path) -> None:
    """As Hugging Face writes it: a new pooler is a matter of asking, since outputs depend on it."""
    folder = origins["ForMaskedLM"].save(tmp_path / "there", "huggingface")
    add(folder, "huggingface", {}, drop=("ernie.pooler.dense.weight", "ernie.pooler.dense.bias"))
    ppernie.from_pretrained(folder, "token_classification", num_labels=3)
    with pytest.raises(UserError, match=r"pooler.dense.weight: missing(.|\n)*new_head"):
        ppernie.from_pretrained(folder, "sequence_classification", num_labels=3)
    model = ppernie.from_pretrained(folder, "sequence_classification", num_labels=3, new_head=True)
    assert states(model)["backbone.pooler.weight"].any()


@LIBRARY
def test_all_that_does_not_fit_is_listed(library: str, origins: dict[str, Any], tmp_path: Path) -> None:
    folder = origins["Model"].save(tmp_path / "there", library)
    table = "embeddings.{}_embeddings.weight"
    shapes = {table.format("turn"): (2, 16), table.format("position"): (23, 16)}
    add(folder, library, shapes, drop=(table.format("token_type"),))
    with pytest.raises(UserError) as caught:
        ppernie.from_pretrained(folder)
    lines = str(caught.value).splitlines()
    assert str(folder) in lines[0]
    assert sorted(line.strip() for line in lines[1:]) == [
        "embeddings.position_embeddings.weight: shape [23, 16] instead of [24, 16]",
        "embeddings.token_type_embeddings.weight: missing",
        "embeddings.turn_embeddings.weight: unknown name",
    ]


def test_other_fields_of_the_architecture(origins: dict[str, Any], tmp_path: Path) -> None:
    folder = origins["ForSequenceClassification"].save(tmp_path / "there", "paddlenlp")
    model = ppernie.from_pretrained(folder, hidden_dropout_prob=0.5, classifier_dropout=0)
    assert (model.config.hidden_dropout_prob, model.config.head_dropout) == (0.5, 0)
    with pytest.raises(UserError, match="hidden_dropuot_prob"):
        ppernie.from_pretrained(folder, hidden_dropuot_prob=0.5)
    with pytest.raises(UserError, match="num_hidden_layers"):
        ppernie.from_pretrained(folder, num_hidden_layers="3")
    with pytest.raises(UserError, match=r"layers.1.* unknown name"):
        ppernie.from_pretrained(folder, num_hidden_layers=1)


def test_half_precision_becomes_single(origins: dict[str, Any], outputs: Callable[..., Any], tmp_path: Path) -> None:
    origin = origins["ForSequenceClassification"]
    folder = origin.save(tmp_path / "there", "paddlenlp")
    weights = {name: array.astype(np.float16) for name, array in origin.foreign("paddlenlp").items()}
    (folder / "model_state.pdparams").write_bytes(pickle.dumps(weights))
    model = ppernie.from_pretrained(folder)
    for name, array in states(model).items():
        np.testing.assert_array_equal(array, origin.state[name].astype(np.float16).astype(np.float32))
        assert array.dtype == np.float32


def test_a_loaded_network_is_one_like_any_other(
    origins: dict[str, Any], outputs: Callable[..., Any], tmp_path: Path
) -> None:
    """It trains, it is saved and restored by Paddle, and it is exported."""
    import paddle

    folder = origins["ForSequenceClassification"].save(tmp_path / "there", "huggingface")
    model = ppernie.from_pretrained(folder)
    before = outputs(model)[0]
    optimizer = paddle.optimizer.AdamW(1e-2, parameters=model.parameters())
    model.train()
    model(paddle.ones([2, 5], "int64")).square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    optimizer.step()
    model.eval()
    after = outputs(model)[0]
    assert np.abs(after - before).max() > 1e-3

    paddle.save(model.state_dict(), str(tmp_path / "saved.pdparams"))
    again = ppernie.from_pretrained(folder)
    again.set_state_dict(paddle.load(str(tmp_path / "saved.pdparams")))
    np.testing.assert_array_equal(outputs(again)[0], after)

    ids = Field("input_ids", "int64", ("batch", "length"), pad=0, upper=24)
    samples = [{"input_ids": np.full([batch, 7], 5)} for batch in (1, 3)]
    export_model(again, Contents([ids], [("batch", "classes")], 24, samples), tmp_path / "export", 1e-4)
    exported = Predictor(tmp_path / "export", device="cpu").run(samples[1])[0]
    expected = again(paddle.to_tensor(samples[1]["input_ids"])).numpy()
    np.testing.assert_allclose(exported, expected, rtol=1e-4, atol=1e-5)
