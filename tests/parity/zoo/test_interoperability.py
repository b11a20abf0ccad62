"""Folders of PaddleNLP and Hugging Face, live: theirs load here, and ours load there, with equal outputs and ids."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import paddle
import pytest

import ppernie
from ppernie.errors import UserError
from ppernie.zoo.conversion import convert

AUTO = {
    "Model": "AutoModel",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForQuestionAnswering": "AutoModelForQuestionAnswering",
    "ForMultipleChoice": "AutoModelForMultipleChoice",
    "ForMaskedLM": "AutoModelForMaskedLM",
}
GRAM = ("Model", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")
TEXTS = ["我爱北京天安门，学习ABC。", "a1b 门$$", "[MASK]爱\u3000京", ""]
PAIRS = [("我爱", "北京abb"), ("天安门", "$")]
SWITCHES: list[dict[str, Any]] = [
    {"hidden_act": "relu"},
    {"task_type_vocab_size": 0},
    {"classifier_dropout": 0.4, "hidden_dropout_prob": 0.0},
    {"hidden_act": "relu", "task_type_vocab_size": 0, "type_vocab_size": 2},
]


def run_paddlenlp(model: Any, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    model.eval()
    with paddle.no_grad():
        result = model(**{name: paddle.to_tensor(array) for name, array in arrays.items()})
    if type(model).__name__.endswith("ForQuestionAnswering"):
        result = paddle.stack(result, axis=-1)
    return [tensor.numpy() for tensor in (result if isinstance(result, tuple) else (result,))]


def run_huggingface(model: Any, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    import torch

    model.eval()
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    with torch.no_grad():
        result = model(**tensors, attention_mask=(tensors["input_ids"] != 0).long())
    if "start_logits" in result:
        return [torch.stack([result.start_logits, result.end_logits], -1).numpy()]
    return (
        [result.logits.numpy()]
        if "logits" in result
        else [result.last_hidden_state.numpy(), result.pooler_output.numpy()]
    )


@pytest.fixture(scope="module")
def libraries() -> dict[str, SimpleNamespace]:
    """Module and forward of each library. PaddleNLP comes first: it looks for torch as it is imported."""
    paddlenlp = pytest.importorskip("paddlenlp.transformers")
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    return {
        "paddlenlp": SimpleNamespace(module=paddlenlp, run=run_paddlenlp),
        "huggingface": SimpleNamespace(module=transformers, run=run_huggingface),
    }


def cases() -> list[Any]:
    found = [("ernie3", kind, library, {}) for kind in AUTO for library in ("paddlenlp", "huggingface")]
    found += [("ernie_gram", kind, "huggingface", {}) for kind in AUTO]
    found += [("ernie_gram", kind, "paddlenlp", {}) for kind in GRAM]
    found += [
        ("ernie3", "ForSequenceClassification", library, switch)
        for switch in SWITCHES
        for library in ("paddlenlp", "huggingface")
    ]
    found.append(("ernie3", "Model", "huggingface", {"layer_norm_eps": 1e-5}))
    return [pytest.param(*case, id="-".join(map(str, (*case[:3], *case[3].values())))) for case in found]


@pytest.mark.parametrize(("family", "kind", "library", "fields"), cases())
def test_ours_there(
    family: str,
    kind: str,
    library: str,
    fields: dict[str, Any],
    libraries: dict[str, SimpleNamespace],
    save_ours: Callable[..., Any],
    inputs: Callable[..., Any],
    run_ours: Callable[..., Any],
    assert_near: Callable[..., None],
    tmp_path: Path,
) -> None:
    there = libraries[library]
    ours = save_ours(tmp_path / "ours", kind, family, **fields)
    convert(tmp_path / "ours", tmp_path / "there", library)
    theirs = getattr(there.module, AUTO[kind]).from_pretrained(str(tmp_path / "there"))
    brand = "ErnieGram" if (family, library) == ("ernie_gram", "paddlenlp") else "Ernie"
    assert type(theirs).__name__ == f"{brand}{kind}"
    arrays = inputs(ours)
    assert_near(run_ours(ours, arrays), there.run(theirs, arrays))
    if fields.get("classifier_dropout"):
        assert theirs.dropout.p == 0.4
    if "Classification" in kind:
        assert [theirs.config.id2label[n] for n in range(len(theirs.config.id2label))] == [
            f"类{n}" for n in range(ours.classifier.weight.shape[1])
        ]
    # The encoder alone, out of a folder with a head.
    bare = there.module.AutoModel.from_pretrained(str(tmp_path / "there"))
    if "Multiple" not in kind:
        encoder = ppernie.from_pretrained(tmp_path / "ours", "encoder")
        assert_near(run_ours(encoder, arrays), there.run(bare, arrays))


@pytest.mark.parametrize("library", ["paddlenlp", "huggingface"])
@pytest.mark.parametrize("family", ["ernie3", "ernie_gram"])
def test_tokenizers_of_our_folders_there(
    family: str, library: str, libraries: dict[str, SimpleNamespace], save_ours: Callable[..., Any], tmp_path: Path
) -> None:
    save_ours(tmp_path / "ours", "Model", family)
    convert(tmp_path / "ours", tmp_path / "there", library)
    theirs = libraries[library].module.AutoTokenizer.from_pretrained(str(tmp_path / "there"))
    ours = ppernie.load_tokenizer(tmp_path / "ours")
    for text in TEXTS:
        assert theirs(text)["input_ids"] == ours.encode(text).ids
    # What it writes, which for Hugging Face is `tokenizer.json` alone, is read here.
    theirs.save_pretrained(str(tmp_path / "again"))
    convert_beside(tmp_path / "there", tmp_path / "again", tmp_path / "back")
    back = ppernie.load_tokenizer(tmp_path / "back")
    assert [back.encode(text).ids for text in TEXTS] == [ours.encode(text).ids for text in TEXTS]
    for text, pair in PAIRS:
        given, encoding = theirs(text, pair), ours.encode(text, pair)
        assert (given["input_ids"], given["token_type_ids"]) == (encoding.ids, encoding.type_ids)


def convert_beside(model: Path, tokenizer: Path, target: Path) -> None:
    """Converts a model with another folder's tokenizer."""
    for path in model.iterdir():
        if path.name == "config.json" or path.suffix in (".pdparams", ".safetensors"):
            shutil.copy(path, tokenizer)
    convert(tokenizer, target, "ppernie")


FORMS: dict[str, list[dict[str, Any]]] = {
    "paddlenlp": [{}, {"safe_serialization": True}, {"max_shard_size": "20KB"}],
    "huggingface": [{}, {"max_shard_size": "20KB"}, {"safe_serialization": False}],
}


@pytest.mark.parametrize("library", FORMS)
@pytest.mark.parametrize("kind", AUTO)
def test_theirs_here(
    kind: str,
    library: str,
    libraries: dict[str, SimpleNamespace],
    save_ours: Callable[..., Any],
    inputs: Callable[..., Any],
    run_ours: Callable[..., Any],
    assert_near: Callable[..., None],
    tmp_path: Path,
) -> None:
    there = libraries[library]
    arrays = inputs(save_ours(tmp_path / "shape", kind))
    convert(tmp_path / "shape", tmp_path / "first", library)
    theirs = getattr(there.module, AUTO[kind]).from_pretrained(str(tmp_path / "first"))
    expected = there.run(theirs, arrays)
    for form, options in enumerate(FORMS[library]):
        folder = tmp_path / f"{form}"
        theirs.save_pretrained(str(folder), **options)
        files = {path.name for path in folder.iterdir()}
        assert ("max_shard_size" in options) == any(name.endswith(".index.json") for name in files), files
        assert_near(run_ours(ppernie.from_pretrained(folder), arrays), expected)


@pytest.mark.parametrize("library", FORMS)
def test_pretraining_networks(
    library: str,
    libraries: dict[str, SimpleNamespace],
    save_ours: Callable[..., Any],
    inputs: Callable[..., Any],
    run_ours: Callable[..., Any],
    assert_near: Callable[..., None],
    tmp_path: Path,
) -> None:
    """Beside the masked language model they predict the next sentence, which is left."""
    there = libraries[library]
    ours = save_ours(tmp_path / "ours", "ForMaskedLM")
    convert(tmp_path / "ours", tmp_path / "there", library)
    name = {"paddlenlp": "ErnieForPretraining", "huggingface": "ErnieForPreTraining"}[library]
    network = getattr(there.module, name)
    theirs = network.from_pretrained(str(tmp_path / "there"))
    theirs.save_pretrained(str(tmp_path / "again"))
    arrays = inputs(ours)
    assert_near(run_ours(ppernie.from_pretrained(tmp_path / "again"), arrays), run_ours(ours, arrays))
    encoder = run_ours(ppernie.from_pretrained(tmp_path / "again", "encoder"), arrays)
    assert_near(encoder, there.run(theirs.ernie, arrays))


def test_the_encoder_of_an_information_extractor(
    libraries: dict[str, SimpleNamespace],
    save_ours: Callable[..., Any],
    inputs: Callable[..., Any],
    run_ours: Callable[..., Any],
    assert_near: Callable[..., None],
    tmp_path: Path,
) -> None:
    ours = save_ours(tmp_path / "ours", "Model")
    convert(tmp_path / "ours", tmp_path / "there", "paddlenlp")
    libraries["paddlenlp"].module.UIE.from_pretrained(str(tmp_path / "there")).save_pretrained(str(tmp_path / "again"))
    arrays = inputs(ours)
    assert_near(run_ours(ppernie.from_pretrained(tmp_path / "again", "encoder"), arrays), run_ours(ours, arrays))
    with pytest.raises(UserError, match="its head, UIE, is not one that is here"):
        ppernie.from_pretrained(tmp_path / "again")
