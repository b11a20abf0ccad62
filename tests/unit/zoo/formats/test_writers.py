"""Files written a block at a time, read by their own libraries and by ours; rows of tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ppernie.zoo.formats import open_weights
from ppernie.zoo.formats.rows import blocks, our_rows, output_rows, take_rows
from ppernie.zoo.formats.safetensors_writer import Entry, write_safetensors
from ppernie.zoo.formats.torch_bin import read_torch
from ppernie.zoo.formats.torch_writer import write_torch

ARRAYS = {
    "half": np.arange(12, dtype=np.float16).reshape(3, 4) / 3,
    "whole": np.arange(-5, 5, dtype=np.int8),
    "wide": np.random.default_rng(0).standard_normal((700, 3000)).astype(np.float32),
    "scalar": np.array(2.5, np.float64),
    "none": np.zeros((0, 4), np.float32),
    "ids": np.arange(3),
    "flags": np.array([True, False]),
}


def pieces(array: np.ndarray) -> list[np.ndarray]:
    return np.array_split(array, 3) if array.ndim else [array]


def same(read: dict[str, np.ndarray]) -> None:
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype and np.array_equal(read[name], array), name
        assert read[name].shape == array.shape


@pytest.fixture
def safetensors_file(tmp_path: Path) -> Path:
    entries = {name: Entry(str(array.dtype), array.shape) for name, array in ARRAYS.items()}
    with write_safetensors(tmp_path / "x.safetensors", entries) as writer:
        for array in ARRAYS.values():
            for part in pieces(array):
                writer.write(part)
    return tmp_path / "x.safetensors"


@pytest.fixture
def torch_file(tmp_path: Path) -> Path:
    with write_torch(tmp_path / "x.pt", "module") as writer:
        for name, array in ARRAYS.items():
            with writer.tensor(name, str(array.dtype), array.shape) as write:
                for part in pieces(array):
                    write(part)
    return tmp_path / "x.pt"


def test_safetensors(safetensors_file: Path) -> None:
    from safetensors.numpy import load_file

    same({name: tensor.read() for name, tensor in open_weights(safetensors_file).items()})
    read = load_file(safetensors_file)
    same({name: read[name] for name in ARRAYS})


def test_too_few_elements_are_no_file(tmp_path: Path) -> None:
    entries = {"a": Entry("float32", (3,))}
    with (
        pytest.raises(ValueError, match="4 bytes are missing"),
        write_safetensors(tmp_path / "x.safetensors", entries) as writer,
    ):
        writer.write(np.ones(2, np.float32))


def test_torch_reads_what_is_written_without_it(torch_file: Path) -> None:
    torch = pytest.importorskip("torch")
    state = torch.load(torch_file, weights_only=True)["module"]
    same({name: tensor.numpy() for name, tensor in state.items()})
    assert all(tensor.is_contiguous() for tensor in state.values())


def test_our_reader_of_torch_files(torch_file: Path) -> None:
    same({name: tensor.read() for name, tensor in read_torch(torch_file, ("module",)).items()})


def test_rows_are_those_of_the_whole(safetensors_file: Path) -> None:
    tensors = open_weights(safetensors_file)
    assert len(list(blocks((700, 3000), "float32"))) > 1
    for name in ("half", "wide", "none", "whole"):
        assert np.array_equal(np.concatenate([ARRAYS[name][:0], *our_rows(tensors[name])]), ARRAYS[name])
    for name in ("half", "wide"):
        assert np.array_equal(np.concatenate(list(output_rows(tensors[name]))), ARRAYS[name].T)
    assert np.array_equal(take_rows(tensors["wide"], 5, 9), ARRAYS["wide"][5:9])


def test_rows_of_a_tensor_that_lies_transposed(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"turned": torch.arange(12.0).reshape(3, 4).t()}, tmp_path / "x.pt")
    tensor = open_weights(tmp_path / "x.pt")["turned"]
    assert np.array_equal(take_rows(tensor, 1, 3), np.arange(12).reshape(3, 4).T[1:3])
