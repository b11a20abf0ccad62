"""What ``paddle.save`` writes, of every protocol, to the bit; and what it does not write."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.errors import UserError
from ppernie.zoo.formats.pdparams import read_pdparams

RANDOM = np.random.default_rng(0)


def state_dict() -> dict[str, Any]:
    return {
        "embeddings.weight": paddle.to_tensor(RANDOM.normal(size=(30, 20)).astype("float32")),
        "bias": paddle.zeros([3]),
        "half": paddle.arange(5).astype("float16"),
        "double": paddle.arange(5).astype("float64"),
        "ids": paddle.arange(600),
        "scalar": paddle.to_tensor(2.5),
        "flag": paddle.to_tensor([True, False]),
    }


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_state_dict(tmp_path: Path, protocol: int) -> None:
    path, weights = tmp_path / "model_state.pdparams", state_dict()
    paddle.save(dict(weights), str(path), protocol=protocol)
    tensors = read_pdparams(path)
    assert list(tensors) == list(weights)
    for name, values in weights.items():
        read, expected = tensors[name].read(), values.numpy()
        assert (read.dtype, read.shape, read.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


@pytest.mark.parametrize("protocol", [2, 4])
def test_bfloat16(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "model_state.pdparams"
    values = paddle.to_tensor(RANDOM.normal(size=(40, 40))).astype("bfloat16")
    paddle.save({"x": values}, str(path), protocol=protocol)
    tensor = read_pdparams(path)["x"]
    assert tensor.dtype == "bfloat16"
    assert np.array_equal(tensor.read(), values.astype("float32").numpy())


@pytest.mark.parametrize("module", ["builtins", "__builtin__"])
def test_tensors_with_their_names(tmp_path: Path, module: str) -> None:
    # Paddle reduces a tensor that is no part of a state dict to a call of tuple.
    class Reduced:
        def __reduce__(self) -> Any:
            return tuple, (("linear_0.w_0", np.arange(4.0)),)

    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({"weight": Reduced()}, 2 if module == "__builtin__" else 4))
    assert module.encode() in path.read_bytes()
    assert np.array_equal(read_pdparams(path)["weight"].read(), np.arange(4.0))


@pytest.mark.parametrize("protocol", range(6))
def test_numpy_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    weights = {
        "wide": RANDOM.normal(size=(40, 50)),
        "fortran": np.asfortranarray(RANDOM.normal(size=(4, 5))),
        "one": np.asfortranarray(np.arange(3.0)),
        "empty": np.zeros((0, 3), np.float32),
        "scalar": np.float32(1.5),
        "bytes": np.arange(256, dtype=np.uint8),
    }
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps(weights, protocol))
    for name, tensor in read_pdparams(path).items():
        assert np.array_equal(tensor.read(), weights[name]) and tensor.read().dtype == weights[name].dtype, name


def test_numpy_2_and_python_2(tmp_path: Path) -> None:
    path = tmp_path / "x.pdparams"
    values = RANDOM.normal(size=(20, 20))
    path.write_bytes(pickle.dumps({"a": values}, 2).replace(b"numpy.core.", b"numpy._core."))
    assert np.array_equal(read_pdparams(path)["a"].read(), values)
    # Python 2 wrote all strings as such, without a way through text.
    raw = np.arange(3, dtype=np.float32)
    path.write_bytes(
        b"\x80\x02}U\x01acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x03\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x0c" + raw.tobytes() + b"tbs."
    )
    assert np.array_equal(read_pdparams(path)["a"].read(), raw)
    assert np.array_equal(pickle.loads(path.read_bytes(), encoding="latin1")["a"], raw)


def test_large_arrays_in_parts(tmp_path: Path) -> None:
    values = np.arange(60, dtype=np.float32).reshape(6, 10)
    parts = {f"w@@.{i}": part for i, part in enumerate(np.split(values.reshape(-1), [25, 50]))}
    cut = {"w": {"OriginShape": (6, 10), "slices": list(parts)}}
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({"b": np.ones(2), **parts, "UnpackBigParamInfor@@": cut}, 2))
    tensors = read_pdparams(path)
    assert list(tensors) == ["b", "w"]
    assert np.array_equal(tensors["w"].read(), values)
    assert np.array_equal(paddle.load(str(path), return_numpy=True)["w"], values)


@pytest.mark.parametrize(
    "cut",
    [
        {"w": {"OriginShape": (3,), "slices": ["a", "absent"]}},
        {"w": {"OriginShape": (9,), "slices": ["a"]}},
        {"w": {"OriginShape": (3,), "slices": []}},
        {"w": {"OriginShape": (3,), "slices": [("a",)]}},
        {"w": 3},
        [1],
    ],
)
def test_a_broken_list_of_parts(tmp_path: Path, cut: Any) -> None:
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({"a": np.ones(3), "UnpackBigParamInfor@@": cut}, 2))
    with pytest.raises(UserError, match="damaged"):
        read_pdparams(path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([np.ones(2)], "an object of type list in place of a dict"),
        ({"optimizer": {"step": np.ones(2)}}, "entry 'optimizer' is no named tensor .type dict"),
        ({"epoch": 3}, "entry 'epoch' is no named tensor .type int"),
        ({7: np.ones(2)}, "entry 7 is no named tensor"),
        ({"a": np.ones(2, ">f4")}, "big-endian"),
        ({"a": np.ones(2, np.complex64)}, "c8"),
        ({"a": np.ones(2, np.uint32)}, "u4"),
        ({"a": np.array(["text"])}, "array of 'U4'"),
    ],
)
def test_what_is_no_state_dict(tmp_path: Path, value: Any, message: str) -> None:
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps(value, 4))
    with pytest.raises(UserError, match=message):
        read_pdparams(path)


def test_objects_in_an_array_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({"a": np.array([print, {}], object)}, 4))
    with pytest.raises(UserError, match="damaged|O8"):
        read_pdparams(path)


def test_a_shape_that_the_bytes_do_not_fill(tmp_path: Path) -> None:
    path = tmp_path / "x.pdparams"
    data = pickle.dumps({"a": np.zeros(7, np.float32)}, 2)
    large = b"\x8a\x08" + (10**18).to_bytes(8, "little")
    path.write_bytes(data.replace(b"K\x07\x85", large + b"\x85"))
    with pytest.raises(UserError, match="has 28 bytes"):
        read_pdparams(path)
