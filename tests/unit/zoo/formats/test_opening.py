"""A file is known by its content; an index brings its files together, or tells what is amiss."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from ppernie.errors import UserError
from ppernie.zoo.formats import StoredTensor, open_weights

GOLDEN = Path(__file__).with_name("golden")
WEIGHTS = {f"layer.{i}": np.full((2, 3), i, np.float32) for i in range(4)}


def write_index(folder: Path, weight_map: Any, name: str = "model.safetensors.index.json") -> Path:
    path = folder / name
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return path


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """Four tensors in two files."""
    names = list(WEIGHTS)
    for number in range(2):
        shard = {name: WEIGHTS[name] for name in names[2 * number : 2 * number + 2]}
        save_file(shard, tmp_path / f"model-{number}.safetensors")
    return write_index(tmp_path, {name: f"model-{i // 2}.safetensors" for i, name in enumerate(names)})


@pytest.mark.parametrize("name", ["model.safetensors", "model_state.pdparams", "weights", "x.bin"])
def test_content_matters_and_not_the_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save_file(WEIGHTS, path)
    assert open_weights(path).keys() == WEIGHTS.keys()
    if path.suffix != ".safetensors":
        path.write_bytes(pickle.dumps(WEIGHTS, 4))
        assert open_weights(path).keys() == WEIGHTS.keys()
        path.write_bytes((GOLDEN / "torch_legacy.bin").read_bytes())
        assert "turned" in open_weights(path)


@pytest.mark.parametrize("content", [b"", b"<html>Not Found</html>", b"\x1f\x8b\x08", b"PK\x03\x04", b"version https"])
def test_what_is_no_weights(tmp_path: Path, content: bytes) -> None:
    for name in ("model_state.pdparams", "model.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name}: .*download it again"):
            open_weights(tmp_path / name)


def test_absent_files(tmp_path: Path) -> None:
    for path in (tmp_path / "x.pdparams", tmp_path / "x.index.json"):
        with pytest.raises(UserError, match="cannot be read"):
            open_weights(path)
    with pytest.raises(UserError, match="holds no parameters"):
        open_weights(tmp_path)


def test_shards(sharded: Path) -> None:
    tensors = open_weights(sharded)
    assert all(isinstance(tensor, StoredTensor) for tensor in tensors.values())
    assert {name: tensor.read().tobytes() for name, tensor in tensors.items()} == {
        name: values.tobytes() for name, values in WEIGHTS.items()
    }


def test_shards_of_pickles(tmp_path: Path) -> None:
    (tmp_path / "a.pdparams").write_bytes(pickle.dumps({"a": np.ones(2)}, 4))
    (tmp_path / "b.pdparams").write_bytes(pickle.dumps({"b": np.ones(3)}, 4))
    index = write_index(tmp_path, {"a": "a.pdparams", "b": "b.pdparams"}, "model_state.pdparams.index.json")
    assert {name: tensor.shape for name, tensor in open_weights(index).items()} == {"a": (2,), "b": (3,)}


def test_missing_shards_are_all_named(sharded: Path) -> None:
    for path in sharded.parent.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(UserError, match="2 of 2 files are missing .*model-0.safetensors, model-1.safetensors"):
        open_weights(sharded)


def test_index_and_shards_must_agree(sharded: Path) -> None:
    content = json.loads(sharded.read_text())
    content["weight_map"]["layer.9"] = "model-1.safetensors"
    del content["weight_map"]["layer.2"]
    sharded.write_text(json.dumps(content))
    with pytest.raises(UserError, match="model-1.safetensors disagree about layer.2, layer.9"):
        open_weights(sharded)


@pytest.mark.parametrize("shard", ["../x.safetensors", "/etc/passwd", "a/b", "a\\b", "c:x", "..", ".", "", "a\0b", 3])
def test_shards_lie_beside_their_index(tmp_path: Path, shard: Any) -> None:
    with pytest.raises(UserError, match="not the name of a file beside it"):
        open_weights(write_index(tmp_path, {"a": shard}))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": []}', "[" * 100_000])
def test_broken_indexes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(text)
    with pytest.raises(UserError, match="not an index of weights"):
        open_weights(path)
