"""Files of safetensors: sound ones to the bit, broken ones told."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from safetensors.numpy import save_file

from ppernie.errors import UserError
from ppernie.zoo.formats.safetensors import read_metadata, read_safetensors


def write(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(begin: Any = 0, end: Any = 8, shape: Any = (2,), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": [begin, end]}


def test_what_the_library_writes(tmp_path: Path) -> None:
    weights = {
        "b": np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32),
        "a": np.arange(5, dtype=np.int64),
        "h": np.arange(3, dtype=np.float16),
        "empty": np.zeros((0, 4), np.float64),
        "scalar": np.array(True),
    }
    path = tmp_path / "model.safetensors"
    save_file(weights, path, {"format": "np"})
    tensors = read_safetensors(path)
    assert tensors.keys() == weights.keys()
    for name, values in weights.items():
        read = tensors[name].read()
        assert (read.dtype, read.shape, read.tobytes()) == (values.dtype, values.shape, values.tobytes())
    assert read_metadata(path) == {"format": "np"}


def test_bfloat16_of_paddle(tmp_path: Path) -> None:
    from safetensors.paddle import save_file as save_paddle

    values = paddle.to_tensor(np.random.default_rng(0).normal(size=(4, 4))).astype("bfloat16")
    path = tmp_path / "model.safetensors"
    save_paddle({"x": values}, str(path))
    tensor = read_safetensors(path)["x"]
    assert tensor.dtype == "bfloat16"
    assert np.array_equal(tensor.read(), values.astype("float32").numpy())


def test_no_metadata(tmp_path: Path) -> None:
    assert read_metadata(write(tmp_path / "x", {"a": entry()}, bytes(8))) == {}


@pytest.mark.parametrize("length", [2**60, 2**64 - 1, 10**7, 0, 1])
def test_a_header_of_any_claimed_length(tmp_path: Path, length: int) -> None:
    with pytest.raises(UserError, match="header of .* is cut off"):
        read_safetensors(write(tmp_path / "x", {"a": entry()}, bytes(8), length))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"[1, 2]", "not a JSON object"),
        (b"{\xff}", "not JSON"),
        (b'{"a": ' + b"[" * 100_000, "not JSON"),
        (b'{"a": {"dtype": "F32", "shape": [1' + b"0" * 5000 + b'], "data_offsets": [0, 8]}}', "not JSON"),
        (json.dumps({"a": entry()}).encode().replace(b"}}", b'}, "a": 1}'), "stands twice"),
        ({"a": 3}, "incomplete"),
        ({"a": {"dtype": "F32", "shape": [2]}}, "incomplete"),
        ({"a": entry(dtype="F8_E4M3")}, "F8_E4M3"),
        ({"a": entry(dtype=["F32"])}, "broken"),
        ({"a": entry(shape="2")}, "broken"),
        ({"a": entry(shape=(-2,))}, "whole numbers"),
        ({"a": entry(shape=(2.0,))}, "whole numbers"),
        ({"a": entry(shape=(True, 2))}, "whole numbers"),
        ({"a": entry(shape=(10**18,))}, "has 8 bytes"),
        ({"a": entry(shape=(2**32, 2**32, 2**32))}, "larger than any memory"),
        ({"a": entry(begin=8, end=0)}, "no valid place"),
        ({"a": entry(begin=-8, end=0)}, "no valid place"),
        ({"a": entry(begin=0.0)}, "no valid place"),
        ({"a": entry(), "b": entry()}, "overlaps"),
        ({"a": entry(), "b": entry(4, 12)}, "overlaps"),
        ({"a": entry(4, 12)}, "overlaps its neighbour or leaves a gap"),
        ({"a": entry(), "b": entry(8, 16)}, "should have .* bytes"),
        ({}, "should have .* bytes"),
    ],
)
def test_broken_headers(tmp_path: Path, header: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_safetensors(write(tmp_path / "x", header, bytes(8)))


def test_a_file_that_is_cut_off_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x"
    save_file({"a": np.zeros(100)}, path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="download it again"):
        read_safetensors(path)


def test_metadata_that_are_no_texts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not texts"):
        read_metadata(write(tmp_path / "x", {"__metadata__": {"step": 3}}))
