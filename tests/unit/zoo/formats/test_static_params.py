"""The variables of Paddle's static graph, one file each."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import paddle
import pytest

from ppernie.errors import UserError
from ppernie.zoo.formats.static_params import read_static_params


def variable(description: bytes, data: bytes, head: tuple[int, int, int] = (0, 0, 0)) -> bytes:
    return struct.pack("<IQI", *head) + struct.pack("<i", len(description)) + description + data


def test_what_paddle_writes(tmp_path: Path) -> None:
    weights = {
        "word_embedding": np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32),
        "encoder_layer_0_ffn_fc_0.b_0": np.arange(5, dtype=np.float64),
        "counter": np.arange(3),
    }
    for name, values in weights.items():
        # One tensor in Paddle's binary format is what a static graph of version 1 wrote for each variable.
        paddle.save(paddle.to_tensor(values), str(tmp_path / name), use_binary_format=True)
    tensors = read_static_params(tmp_path)
    assert tensors.keys() == weights.keys()
    for name, values in weights.items():
        read = tensors[name].read()
        assert read.dtype == values.dtype and np.array_equal(read, values)


def test_dimensions_in_both_ways_of_protobuf(tmp_path: Path) -> None:
    values = np.arange(600, dtype=np.float32).reshape(300, 2)
    (tmp_path / "plain").write_bytes(variable(b"\x08\x05\x10\xac\x02\x10\x02", values.tobytes()))
    (tmp_path / "packed").write_bytes(variable(b"\x08\x05\x12\x03\xac\x02\x02", values.tobytes()))
    for tensor in read_static_params(tmp_path).values():
        assert np.array_equal(tensor.read(), values)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut off"),
        (variable(b"\x08\x05\x10\x02", bytes(8), (1, 0, 0)), "version 1"),
        (variable(b"\x08\x05\x10\x02", bytes(8), (0, 1, 0)), "1 levels"),
        (variable(b"\x08\x05\x10\x02", bytes(8), (0, 0, 1)), "not a variable"),
        (variable(b"\x08\x05\x10\x02", bytes(7)), "has 7 bytes"),
        (variable(b"\x08\x05\x10\x02", bytes(9)), "has 9 bytes"),
        (variable(b"\x08\x07\x10\x02", bytes(8)), "type 7"),
        (variable(b"\x10\x02", bytes(8)), "type None"),
        (variable(b"\x08\x05\x10\x82", bytes(8)), "cut off"),
        (variable(b"\x08\x05\x22\x02", bytes(8)), "unknown field"),
        (struct.pack("<IQIi", 0, 0, 0, 2**31 - 1), "not a variable"),
        (struct.pack("<IQIi", 0, 0, 0, -1), "not a variable"),
    ],
)
def test_broken_variables(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(UserError, match=message):
        read_static_params(tmp_path)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no parameters"):
        read_static_params(tmp_path)
