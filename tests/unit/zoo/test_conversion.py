"""Folders for other libraries and back: every bit, the labels, and what must be refused."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece

import ppernie
from ppernie.cli.main import main
from ppernie.data.tokenizers import ErnieTinyTokenizer, ErnieTokenizer, write_tokenizer
from ppernie.errors import UserError
from ppernie.zoo.conversion import convert
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import load_model, save_model
from ppernie.zoo.formats import open_weights

FILES = {"ppernie": "model.safetensors", "paddlenlp": "model_state.pdparams", "huggingface": "model.safetensors"}
KINDS = {
    "Model": None,
    "DualEncoder": {"name": "dual_similarity"},
    "ForSequenceClassification": {"name": "sequence_classification", "labels": ["好", "坏", "中"]},
    "ForTokenClassification": {"name": "token_classification", "labels": ["O", "B-地名", "I-地名"]},
    "ForQuestionAnswering": {"name": "span_extraction"},
    "ForMultipleChoice": {"name": "multiple_choice", "choices": 2},
    "ForMaskedLM": {"name": "masked_language_modeling"},
}
GRAM_AT_PADDLENLP = (
    "Model",
    "DualEncoder",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
)
ENCODERS = {
    "tasks-gelu": {},
    "relu": {"hidden_act": "relu", "task_type_vocab_size": 0},
    "head-dropout": {"classifier_dropout": 0.3, "hidden_dropout_prob": 0.0},
}


def save(origin: Any, folder: Path, lowercase: bool = True) -> Path:
    """A model folder of ours."""
    brand = {"ernie3": "Ernie", "ernie_gram": "ErnieGram"}[origin.family]
    arch = {"name": f"{origin.family}/{brand}{origin.kind}", **origin.config.model_dump()}
    description = ModelDescription(arch=arch, task=KINDS[origin.kind], max_length=24)
    save_model(folder, origin.state, description, ErnieTokenizer(origin.tokens, lowercase=lowercase), {})
    return folder


def bits(folder: Path, library: str) -> dict[str, tuple[Any, ...]]:
    """Every tensor of a folder: its type, shape and bytes."""
    arrays = {name: tensor.read() for name, tensor in open_weights(folder / FILES[library]).items()}
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in arrays.items()}


def cases() -> list[tuple[str, str, str]]:
    both = [("ernie3", kind, library) for kind in KINDS for library in ("paddlenlp", "huggingface")]
    gram = [("ernie_gram", kind, "huggingface") for kind in KINDS]
    return [*both, *gram, *(("ernie_gram", kind, "paddlenlp") for kind in GRAM_AT_PADDLENLP)]


@pytest.mark.parametrize(("family", "kind", "library"), cases())
def test_there_and_back(family: str, kind: str, library: str, make_origin: Callable[..., Any], tmp_path: Path) -> None:
    ours = save(make_origin(kind, family), tmp_path / "ours", lowercase=False)
    foreign, back, again = tmp_path / "foreign", tmp_path / "back", tmp_path / "again"
    convert(ours, foreign, library)
    convert(foreign, back, "ppernie")
    convert(back, again, library)
    prefix = "backbone." if kind == "DualEncoder" else ""
    assert bits(back, "ppernie") == {name.removeprefix(prefix): value for name, value in bits(ours, "ppernie").items()}
    assert bits(again, library) == bits(foreign, library)
    for name in ("config.json", "vocab.txt", "tokenizer_config.json"):
        assert (again / name).read_bytes() == (foreign / name).read_bytes()
    assert ppernie.load_tokenizer(foreign).encode("我爱ABC").ids == ppernie.load_tokenizer(ours).encode("我爱ABC").ids
    assert (back / "vocab.txt").read_bytes() == (ours / "vocab.txt").read_bytes()

    values = json.loads((back / "config.json").read_text())
    one, other = (json.loads((folder / "config.json").read_text())["arch"] for folder in (ours, back))
    # Hugging Face has ERNIE-Gram's network under the name of ERNIE.
    renamed = {"name"} if kind == "DualEncoder" or (family, library) == ("ernie_gram", "huggingface") else set()
    assert {name for name in other if one[name] != other[name]} == renamed
    assert values["task"] == (KINDS[kind] if kind != "DualEncoder" else None)


@pytest.mark.parametrize("library", ["paddlenlp", "huggingface"])
@pytest.mark.parametrize("fields", ENCODERS.values(), ids=ENCODERS)
def test_every_switch_of_the_encoder(
    fields: dict[str, Any], library: str, make_origin: Callable[..., Any], outputs: Callable[..., Any], tmp_path: Path
) -> None:
    origin = make_origin("ForSequenceClassification", **fields)
    convert(save(origin, tmp_path / "ours"), tmp_path / "foreign", library)
    model = ppernie.from_pretrained(tmp_path / "foreign")
    assert model.config == origin.config
    np.testing.assert_array_equal(outputs(model)[0], outputs(origin.model)[0])


@pytest.mark.parametrize("library", ["paddlenlp", "huggingface"])
def test_a_foreign_classifier_predicts_as_a_model_of_ours(
    library: str, make_origin: Callable[..., Any], outputs: Callable[..., Any], tmp_path: Path
) -> None:
    origin = make_origin()
    convert(origin.save(tmp_path / "foreign", library), tmp_path / "ours", "ppernie")
    model, task, description = load_model(tmp_path / "ours")
    model.eval()
    np.testing.assert_array_equal(outputs(model)[0], outputs(origin.model)[0])
    assert task.options.labels == ["好", "坏", "中"]
    assert description.max_length == 24


def test_a_bare_encoder_of_ours_is_no_model_to_run(make_origin: Callable[..., Any], tmp_path: Path) -> None:
    convert(make_origin("Model").save(tmp_path / "foreign", "huggingface"), tmp_path / "ours", "ppernie")
    with pytest.raises(UserError, match="is a network without a task; training can start from it"):
        load_model(tmp_path / "ours")
    assert type(ppernie.from_pretrained(tmp_path / "ours")).__name__ == "ErnieModel"


def test_what_is_left_out_is_said(
    make_origin: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_origin("ForMaskedLM").save(tmp_path / "foreign", "paddlenlp", architectures=["ErnieForPretraining"])
    path = folder / "model_state.pdparams"
    weights = pickle.loads(path.read_bytes()) | {"cls.seq_relationship.bias": np.zeros(2, np.float32)}
    path.write_bytes(pickle.dumps(weights))
    (folder / "vocab.txt").unlink()
    convert(folder, tmp_path / "ours", "ppernie")
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 2
    assert "holds no vocabulary, so the new folder has no tokenizer" in warned[0]
    assert "['cls.seq_relationship.bias']" in warned[1]


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("library", ["ppernie", "huggingface"])
def test_other_types_keep_their_bits(dtype: str, library: str, make_origin: Callable[..., Any], tmp_path: Path) -> None:
    origin = make_origin("Model")
    folder = origin.save(tmp_path / "first", "paddlenlp")
    weights = {name: array.astype(dtype) for name, array in origin.foreign("paddlenlp").items()}
    (folder / "model_state.pdparams").write_bytes(pickle.dumps(weights))
    convert(folder, tmp_path / "second", library)
    convert(tmp_path / "second", tmp_path / "third", "paddlenlp")
    assert bits(tmp_path / "third", "paddlenlp") == bits(folder, "paddlenlp")


@pytest.mark.parametrize(
    ("family", "kind", "fields", "library", "said"),
    [
        ("ernie_gram", "Model", {"rel_pos_size": 33}, "paddlenlp", "relative position bias"),
        ("ernie_gram", "Model", {"rel_pos_size": 33}, "huggingface", "relative position bias"),
        ("ernie_gram", "ForMaskedLM", {}, "paddlenlp", "PaddleNLP has no ErnieGramForMaskedLM"),
        ("ernie_gram", "ForMultipleChoice", {}, "paddlenlp", "PaddleNLP has no ErnieGramForMultipleChoice"),
        ("ernie_gram", "Model", {"layer_norm_eps": 1e-12}, "paddlenlp", "layer_norm_eps 1e-05 alone"),
        ("ernie3", "Model", {"layer_norm_eps": 1e-5}, "paddlenlp", "layer_norm_eps 1e-12 alone"),
    ],
)
def test_what_would_compute_something_else(
    family: str,
    kind: str,
    fields: dict[str, Any],
    library: str,
    said: str,
    make_origin: Callable[..., Any],
    tmp_path: Path,
) -> None:
    ours = save(make_origin(kind, family, **fields), tmp_path / "ours")
    with pytest.raises(UserError, match=said):
        convert(ours, tmp_path / "foreign", library)
    assert not (tmp_path / "foreign").exists()


@pytest.fixture(scope="module")
def tiny() -> ErnieTinyTokenizer:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["我 爱 北京", "学习 abc"] * 8),
        model_writer=model,
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return ErnieTinyTokenizer(["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "北京"], model.getvalue(), ["北京", "爱"])


def test_the_segmentation_pickle_becomes_json(
    tiny: ErnieTinyTokenizer, make_origin: Callable[..., Any], tmp_path: Path
) -> None:
    folder = make_origin("Model").save(tmp_path / "released", "paddlenlp")
    write_tokenizer(tiny, folder, "paddlenlp")
    (folder / "tokenizer_config.json").unlink()
    (folder / "dict.wordseg.pickle").write_bytes(pickle.dumps({"北京", "爱"}, 2))
    convert(folder, tmp_path / "ours", "ppernie")
    assert sorted(json.loads((tmp_path / "ours" / "wordseg.json").read_text())) == ["北京", "爱"]
    assert not list((tmp_path / "ours").glob("*.pickle"))
    found = ppernie.load_tokenizer(tmp_path / "ours")
    assert found.encode("我爱北京 学习").ids == tiny.encode("我爱北京 学习").ids
    convert(tmp_path / "ours", tmp_path / "back", "paddlenlp")
    assert ppernie.load_tokenizer(tmp_path / "back").encode("我爱北京").ids == tiny.encode("我爱北京").ids
    with pytest.raises(UserError, match="Hugging Face has no tokenizer that cuts words by a dictionary"):
        convert(tmp_path / "ours", tmp_path / "huggingface", "huggingface")
    assert not (tmp_path / "huggingface").exists()


def test_targets_that_cannot_be(make_origin: Callable[..., Any], tmp_path: Path) -> None:
    folder = make_origin("Model").save(tmp_path / "there", "paddlenlp")
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for target in (folder, tmp_path / "file"):
        with pytest.raises(UserError, match="is there already; name a new folder"):
            convert(folder, target, "ppernie")
    with pytest.raises(UserError, match="cannot write here"):
        convert(folder, tmp_path / ("x" * 5000), "ppernie")
    with pytest.raises(UserError, match="cannot write here"):
        convert(folder, tmp_path / "file" / "new", "huggingface")
    convert(folder, tmp_path / "empty", "ppernie")
    assert (tmp_path / "empty" / "model.safetensors").exists()


@pytest.mark.parametrize("library", FILES)
def test_a_configuration_that_belies_its_head(library: str, make_origin: Callable[..., Any], tmp_path: Path) -> None:
    two = {"0": "好", "1": "坏"}
    folder = make_origin().save(tmp_path / "there", "paddlenlp", id2label=two)
    with pytest.raises(UserError, match="its head has 3 classes, and its configuration names 2"):
        convert(folder, tmp_path / "new", library)
    path = folder / "model_state.pdparams"
    weights = {name: array for name, array in pickle.loads(path.read_bytes()).items() if "classifier" not in name}
    path.write_bytes(pickle.dumps(weights))
    with pytest.raises(UserError, match="says ForSequenceClassification, and it holds no such head"):
        convert(folder, tmp_path / "new", library)
    with pytest.raises(
        UserError, match=r"lacks classifier.weight, classifier.bias; name the head to be made new|how many"
    ):
        ppernie.from_pretrained(folder)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("library", FILES)
def test_a_full_disk_leaves_nothing(
    library: str, make_origin: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_origin("Model").save(tmp_path / "there", "paddlenlp")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        convert(folder, tmp_path / "new", library)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_command(make_origin: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_origin("Model").save(tmp_path / "there", "paddlenlp")
    arguments = [str(folder), str(tmp_path / "new")]
    assert main(["convert", "--to", "huggingface", *arguments]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'new'}: written\n"
    assert main(["convert", "--to", "huggingface", *arguments]) == 2
    assert f"error: {tmp_path / 'new'}: is there already" in capsys.readouterr().err
