"""Quantised shards beside a reference of the published convention in NumPy, and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_zoo.glm.shards import layout, open_shards, write_shards
from ppernie.errors import UserError
from ppernie.slim.weight_only import Scheme
from ppernie.zoo import manifest
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.formats import StoredTensor, open_weights
from ppernie.zoo.formats.torch_bin import read_torch
from ppernie.zoo.formats.torch_writer import write_torch
from ppernie.zoo.weights import write_weights

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "intermediate_size": 48,
}
ARCH = {"name": "glm/GlmForBlankInfilling", **manifest.find("glm-130b").architecture, **SIZES}
DESCRIPTION = ModelDescription(arch=ARCH, task=None, max_length=2048)
PUBLISHED = layout(DESCRIPTION.arch_config())
MATRICES = ("query_key_value.weight", "dense.weight", "dense_h_to_4h.weight", "dense_4h_to_h.weight")
DENSE = "transformer.layers.0.attention.dense.weight"
QUERY = "transformer.layers.0.attention.query_key_value.weight"


@pytest.fixture(scope="module")
def tensors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StoredTensor]:
    """The weights of a folder of ours, in half precision."""
    rng = np.random.default_rng(0)
    shapes = {name: one.cut.shape[::-1] if one.turned else one.cut.shape for name, one in PUBLISHED.items()}
    path = tmp_path_factory.mktemp("ours") / "model.safetensors"
    write_weights(path, {name: rng.standard_normal(shape).astype(np.float16) for name, shape in shapes.items()})
    return open_weights(path)


def part_of(tensors: dict[str, StoredTensor], name: str, ranks: int, rank: int) -> np.ndarray:
    """What a rank has of a tensor, as it is published."""
    _, cut, turned = PUBLISHED[name]
    whole = tensors[name].read()
    return cut.take(whole.T if turned else whole, ranks, rank)


def quantized_as_published(rows: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """THUDM/GLM-130B's quantization/layers.py and the packing of cuda/quantization.cu."""
    scale = (np.abs(rows).max(1).astype(np.float32) / (2 ** (bits - 1) - 1)).astype(np.float16)
    numbers = np.rint(rows / scale[:, None]).astype(np.int8)
    if bits == 4:
        numbers = ((numbers[:, 0::2].astype(np.int16) << 4) | (numbers[:, 1::2] & 15)).astype(np.int8)
    return numbers, scale


def state_of(folder: Path, rank: int) -> dict[str, StoredTensor]:
    return read_torch(folder / "7" / f"mp_rank_{rank:02d}_model_states.pt", ("module",))


@pytest.mark.parametrize("ranks", [1, 4])
@pytest.mark.parametrize("bits", [4, 8])
def test_the_files_are_the_published_ones(
    tensors: dict[str, StoredTensor], tmp_path: Path, bits: Any, ranks: int
) -> None:
    write_shards(tmp_path / "new", tensors, DESCRIPTION, None, ranks, "7", Scheme(bits=bits))
    for rank in range(ranks):
        written = state_of(tmp_path / "new", rank)
        expected: dict[str, np.ndarray] = {}
        for ours, (name, _, _) in PUBLISHED.items():
            part = part_of(tensors, ours, ranks, rank)
            if name.endswith(MATRICES):
                expected[name], expected[f"{name}_scale"] = quantized_as_published(part, bits)
            else:
                expected[name] = part
        assert written.keys() == expected.keys()
        for name, array in expected.items():
            assert written[name].dtype == array.dtype.name and np.array_equal(written[name].read(), array), name


@pytest.mark.parametrize("bits", [4, 8])
def test_they_are_read_as_the_numbers_that_they_stand_for(
    tensors: dict[str, StoredTensor], tmp_path: Path, bits: Any
) -> None:
    write_shards(tmp_path / "new", tensors, DESCRIPTION, None, 8, "7", Scheme(bits=bits))
    shards = open_shards(tmp_path / "new")
    assert (shards.scheme, shards.description, shards.iteration) == (Scheme(bits=bits), DESCRIPTION, "7")
    for ours, (name, cut, _) in PUBLISHED.items():
        found = shards.tensors[ours]
        assert found.shape == tensors[ours].shape
        if not name.endswith(MATRICES):
            assert np.array_equal(found.read(), tensors[ours].read()), ours
            continue
        rows = found.read().T
        assert found.dtype == "float32" == rows.dtype
        for rank in range(8):
            part = part_of(tensors, ours, 8, rank).astype(np.float32)
            steps = np.abs(part).max(1, keepdims=True) / (2 ** (bits - 1) - 1)
            off = np.abs(cut.take(rows, 8, rank) - part)
            # Half a step, and the rounding of the scale to 11 bits, of which there are at most 127.
            assert (off <= steps * (0.5 + 2.0**-11 * 2 ** (bits - 1)) + 1e-7).all(), ours
        for start, stop in ((0, 1), (3, 29), (31, 32)):
            assert np.array_equal(found.rows(start, stop), rows[start:stop]), ours


def test_more_ranks_have_finer_scales(tensors: dict[str, StoredTensor], tmp_path: Path) -> None:
    """What is cut along its rows has a scale for each part of them."""
    errors = []
    for ranks in (1, 8):
        write_shards(tmp_path / str(ranks), tensors, DESCRIPTION, None, ranks, "7", Scheme(bits=4))
        found = open_shards(tmp_path / str(ranks)).tensors
        errors.append({name: np.abs(found[name].read() - tensors[name].read()).mean() for name in PUBLISHED})
    for name, one in PUBLISHED.items():
        finer = one.turned and one.cut.axis == 1
        assert (errors[1][name] < 0.8 * errors[0][name]) if finer else (errors[1][name] == errors[0][name]), name


def test_what_cannot_be_quantized(tensors: dict[str, StoredTensor], tmp_path: Path) -> None:
    arch = DESCRIPTION.model_copy(update={"arch": {**ARCH, "intermediate_size": 24}})
    with pytest.raises(UserError, match="dense_4h_to_h.weight: over 8 ranks 3 inputs do not fill bytes"):
        write_shards(tmp_path / "new", tensors, arch, None, 8, "7", Scheme(bits=4))
    with pytest.raises(UserError, match="a scale for each row; leave --group-size out"):
        write_shards(tmp_path / "new", tensors, DESCRIPTION, None, 2, "7", Scheme(bits=4, group_size=8))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("remove", "change", "message"),
    [
        ([f"{DENSE}_scale"], {}, "attention.dense.weight_scale: missing"),
        ("scales", {}, r"query_key_value.weight: \[96, 16\] in each of 1 ranks in place of \[96, 32\]"),
        ([], {DENSE: np.zeros((32, 32), np.int8)}, r"attention.dense.weight: \[32, 32\] .* in place of \[32, 16\]"),
        ([], {QUERY: np.zeros((), np.int8)}, r"query_key_value.weight: \[\] in each of 1 ranks in place of \[96, 32\]"),
        ([], {DENSE: np.zeros((32, 16), np.float16)}, "attention.dense.weight is float16 .* no weights of 4 bits"),
    ],
)
def test_files_that_are_not_whole(
    tensors: dict[str, StoredTensor], tmp_path: Path, remove: Any, change: dict[str, np.ndarray], message: str
) -> None:
    write_shards(tmp_path / "new", tensors, DESCRIPTION, None, 1, "7", Scheme(bits=4))
    with pytest.raises(UserError, match=message):
        edit(tmp_path / "new", remove, change)
        open_shards(tmp_path / "new")


def test_whole_numbers_without_scales(tensors: dict[str, StoredTensor], tmp_path: Path) -> None:
    write_shards(tmp_path / "new", tensors, DESCRIPTION, None, 1, "7", Scheme(bits=8))
    edit(tmp_path / "new", "scales", {})
    with pytest.raises(UserError, match="query_key_value.weight: int8 without .*query_key_value.weight_scale"):
        open_shards(tmp_path / "new")


def edit(folder: Path, remove: Any, change: dict[str, np.ndarray]) -> None:
    """Writes the file of the only rank anew."""
    arrays = {name: tensor.read() for name, tensor in state_of(folder, 0).items()} | change
    kept = {
        name: array
        for name, array in arrays.items()
        if not (name.endswith("_scale") if remove == "scales" else name in remove)
    }
    with write_torch(folder / "7" / "mp_rank_00_model_states.pt", "module") as file:
        for name, array in kept.items():
            with file.tensor(name, array.dtype.name, array.shape) as write:
                write(array)
