"""Every form in which pretrained weights come, read into a network with equal outputs."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import ppernie
from ppernie.errors import UserError
from ppernie.zoo import manifest
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.download.places import place_of_address, place_of_file
from ppernie.zoo.folder import save_model
from ppernie.zoo.layout import State
from ppernie.zoo.sources import known_architecture, open_source


@pytest.fixture(scope="module")
def origin(make_origin: Callable[..., Any]) -> Any:
    return make_origin()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing that connects."""
    monkeypatch.setenv("PPERNIE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PPNLP_HOME", str(tmp_path / "paddlenlp"))
    monkeypatch.setenv("PPERNIE_OFFLINE", "1")
    return tmp_path / "cache"


@pytest.fixture
def released(origin: Any, monkeypatch: pytest.MonkeyPatch) -> manifest.Variant:
    """A released variant of the network's shape, ``small``."""
    small = manifest.find("ernie-3.0-nano-zh").model_copy(
        update={"name": "small", "folder": "small", "architecture": origin.config.model_dump()}
    )
    monkeypatch.setattr(manifest, "variants", lambda: {"small": small})
    return small


def shards(folder: Path, weights: State, suffix: str, save: Callable[[State, Path], Any]) -> None:
    """Weights over two files and their index."""
    names = sorted(weights)
    stem, _, ending = suffix.partition(".")
    files = {f"{stem}-0000{n + 1}-of-00002.{ending}": names[n::2] for n in range(2)}
    for file, part in files.items():
        save({name: weights[name] for name in part}, folder / file)
    index = {"metadata": {}, "weight_map": {name: file for file, part in files.items() for name in part}}
    (folder / f"{suffix}.index.json").write_text(json.dumps(index))


def dump(weights: State, path: Path) -> None:
    path.write_bytes(pickle.dumps(weights, protocol=4))


def pack(path: Path, files: dict[str, bytes]) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(f"ernie/{name}", content)
        return
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"ernie/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def ours(origin: Any, folder: Path) -> Path:
    arch = {"name": "ernie3/ErnieForSequenceClassification", **origin.config.model_dump()}
    task = {"name": "sequence_classification", "labels": list("好坏中")}
    save_model(folder, origin.state, ModelDescription(arch=arch, task=task, max_length=24), None, {})
    return folder


def paddlenlp_safetensors(origin: Any, folder: Path) -> Path:
    origin.save(folder, "paddlenlp")
    (folder / "model_state.pdparams").unlink()
    save_file(origin.foreign("paddlenlp"), folder / "model.safetensors", {"format": "pd"})
    return folder


def paddlenlp_shards(origin: Any, folder: Path) -> Path:
    origin.save(folder, "paddlenlp")
    (folder / "model_state.pdparams").unlink()
    shards(folder, origin.foreign("paddlenlp"), "model_state.pdparams", dump)
    return folder


def paddlenlp_legacy(origin: Any, folder: Path) -> Path:
    """``model_config.json`` as PaddleNLP wrote it up to 2.4: the encoder's arguments inside the head's."""
    origin.save(folder, "paddlenlp")
    (folder / "config.json").unlink()
    fields = ("hidden_act", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
    fields += ("intermediate_size", "max_position_embeddings", "type_vocab_size", "task_type_vocab_size")
    encoder = {name: getattr(origin.config, name) for name in fields}
    encoder |= {"use_task_id": True, "task_id": 0, "init_class": "ErnieModel"}
    head = {"init_args": [encoder], "num_classes": 3, "init_class": "ErnieForSequenceClassification"}
    (folder / "model_config.json").write_text(json.dumps(head))
    return folder


def huggingface_shards(origin: Any, folder: Path) -> Path:
    origin.save(folder, "huggingface")
    (folder / "model.safetensors").unlink()
    shards(folder, origin.foreign("huggingface"), "model.safetensors", save_file)
    return folder


FORMS: list[Callable[[Any, Path], Path]] = [
    ours,
    lambda origin, folder: origin.save(folder, "paddlenlp"),
    paddlenlp_safetensors,
    paddlenlp_shards,
    paddlenlp_legacy,
    lambda origin, folder: origin.save(folder, "huggingface"),
    huggingface_shards,
    lambda origin, folder: origin.save(folder, "paddlenlp") / "model_state.pdparams",
]
NAMES = ["ours", "pdparams", "pd-safetensors", "pd-shards", "pd-legacy", "hf", "hf-shards", "file-with-config"]


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_folders(form: Any, origin: Any, outputs: Callable[..., Any], tmp_path: Path) -> None:
    source = form(origin, tmp_path / "there")
    model = ppernie.from_pretrained(source)
    assert type(model).__name__ == "ErnieForSequenceClassification"
    np.testing.assert_array_equal(outputs(model), outputs(origin.model))
    opened = open_source(str(source))
    # The older file names the number of classes alone.
    assert opened.labels == (None if form is paddlenlp_legacy else ("好", "坏", "中"))
    assert known_architecture(str(source)) == ("ernie3", opened.architecture)
    assert opened.architecture["task_type_vocab_size"] == 3


def test_a_weight_file_alone_needs_a_variant(
    origin: Any, released: Any, outputs: Callable[..., Any], tmp_path: Path
) -> None:
    dump(origin.foreign("paddlenlp"), tmp_path / "some.pdparams")
    with pytest.raises(UserError, match=r"some.pdparams: nothing beside this file .* \(variant=\.\.\.\)"):
        ppernie.from_pretrained(tmp_path / "some.pdparams")
    for source in (tmp_path / "some.pdparams", tmp_path):
        model = ppernie.from_pretrained(source, "sequence_classification", variant="small")
        np.testing.assert_array_equal(outputs(model), outputs(origin.model))
    with pytest.raises(UserError, match="there is no released variant 'smal'"):
        ppernie.from_pretrained(tmp_path / "some.pdparams", variant="smal")


@pytest.mark.parametrize("packed", ["models.tar.gz", "models.zip"])
@pytest.mark.parametrize("relative", [0, 33], ids=["chinese", "english"])
def test_archives_of_the_ernie_repository(
    packed: str, relative: int, make_origin: Callable[..., Any], outputs: Callable[..., Any], tmp_path: Path
) -> None:
    """Names, vocabulary and configuration are those of PaddlePaddle/ERNIE's dynamic-graph archives."""
    origin = make_origin("Model", "ernie_gram", intermediate_size=64, rel_pos_size=relative)
    weights = origin.foreign("repository")
    assert {"word_emb.weight", "encoder_stack.block.0.attn.q.weight", "pooler.bias"} <= weights.keys()
    assert ("rel_pos_bias_emb.weight" in weights) == bool(relative)
    same = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "hidden_act")
    same += ("hidden_dropout_prob", "attention_probs_dropout_prob", "max_position_embeddings", "initializer_range")
    config = {name: getattr(origin.config, name) for name in same} | {"type_vocab_size": 2}
    config |= {"rel_pos_size": relative} if relative else {}
    vocab = "".join(f"{token}\t{index}\n" for index, token in enumerate(origin.tokens))
    files = {
        "ernie_config.json": json.dumps(config).encode(),
        "vocab.txt": vocab.encode(),
        "saved_weights.pdparams": pickle.dumps(weights, protocol=2),
    }
    pack(tmp_path / packed, files)
    model = ppernie.from_pretrained(tmp_path / packed)
    assert type(model).__name__ == ("ErnieGramModel" if relative else "ErnieModel")
    assert model.config.layer_norm_eps == 1e-5
    for one, other in zip(outputs(model), outputs(origin.model), strict=True):
        np.testing.assert_array_equal(one, other)
    assert ppernie.load_tokenizer(tmp_path / packed).encode("我爱").ids == [1, 5, 6, 2]


def fill(origin: Any, weights: Path, vocab: Path) -> None:
    """Files at the places where a cache keeps them."""
    for path in (weights, vocab):
        path.parent.mkdir(parents=True, exist_ok=True)
    dump(origin.foreign("paddlenlp"), weights)
    vocab.write_text("".join(f"{token}\n" for token in origin.tokens), encoding="utf-8")


@pytest.mark.parametrize("whose", ["ppernie", "paddlenlp"])
def test_released_names_out_of_a_cache(
    whose: str, origin: Any, released: manifest.Variant, outputs: Callable[..., Any], tmp_path: Path
) -> None:
    assert known_architecture("small") == ("ernie3", released.architecture)
    places = [place_of_file(file, "small") for file in released.files]
    # PaddleNLP's has the names of the addresses.
    names = [file.address.rpartition("/")[2] for file in released.files]
    assert names[0] == "ernie_3.0_nano_zh.pdparams"
    found = [place.path if whose == "ppernie" else tmp_path / "paddlenlp/models/small" / names[n]
             for n, place in enumerate(places)]  # fmt: skip
    fill(origin, *found)
    model = ppernie.from_pretrained("small", "sequence_classification")
    np.testing.assert_array_equal(outputs(model), outputs(origin.model))
    assert list(ppernie.load_tokenizer("small").tokens) == origin.tokens


def test_a_name_that_is_not_cached(released: manifest.Variant, cache: Path) -> None:
    with pytest.raises(UserError) as caught:
        ppernie.from_pretrained("small")
    weights = released.files[0]
    for said in ("PPERNIE_OFFLINE", weights.address, *weights.mirrors, str(cache / "models/small" / weights.name)):
        assert said in str(caught.value)


def test_addresses(origin: Any, outputs: Callable[..., Any]) -> None:
    address = "https://example.org/ernie/models.tar.gz"
    with pytest.raises(UserError, match=address):
        ppernie.from_pretrained(address)
    archive = place_of_address(address).path
    archive.parent.mkdir(parents=True)
    folder = origin.save(archive.parent / "unpacked", "huggingface")
    pack(archive, {path.name: path.read_bytes() for path in folder.iterdir()})
    np.testing.assert_array_equal(outputs(ppernie.from_pretrained(address)), outputs(origin.model))
