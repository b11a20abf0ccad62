"""Elements of a file in the caller's array: exact, converted where asked, and no more memory than needed."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.errors import UserError
from ppernie.zoo.formats.tensors import FileTensor, JoinedTensor, Span

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]


def stored(path: Path, values: np.ndarray, dtype: str | None = None, offset: int = 7) -> FileTensor:
    """A file with the values behind a few other bytes."""
    path.write_bytes(bytes(offset) + values.tobytes() + b"more")
    return FileTensor(path, dtype or str(values.dtype), values.shape, Span(offset, values.nbytes))


@pytest.mark.parametrize("dtype", DTYPES)
def test_reads_every_dtype_to_the_bit(tmp_path: Path, dtype: str) -> None:
    values = np.random.default_rng(0).integers(-50, 50, (3, 5)).astype(dtype)
    tensor = stored(tmp_path / "file", values)
    read = tensor.read()
    assert read.dtype == values.dtype and read.tobytes() == values.tobytes()
    assert (tensor.dtype, tensor.shape, tensor.nbytes) == (dtype, (3, 5), values.nbytes)
    assert np.array_equal(np.asarray(tensor), values)


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (2, 3, 4)])
def test_reads_every_rank(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert np.array_equal(stored(tmp_path / "file", values).read(), values)


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path) -> None:
    floats = np.array([1.0, -2.5, 3.0e38, 1e-40, np.inf, -0.0], np.float32)
    bits = (floats.view(np.uint32) >> 16).astype(np.uint16)
    tensor = stored(tmp_path / "file", bits, "bfloat16")
    expected = (bits.astype(np.uint32) << 16).view(np.float32)
    assert tensor.read().dtype == np.float32
    assert tensor.read().tobytes() == expected.tobytes()
    raw = np.empty(bits.shape, np.uint16)
    tensor.read_into(raw)
    assert np.array_equal(raw, bits)
    assert tensor.nbytes == 12


@pytest.mark.parametrize(("source", "target"), [("float16", "float32"), ("float64", "float32"), ("int32", "int64")])
def test_converts_in_bounded_memory(tmp_path: Path, source: str, target: str) -> None:
    values = np.random.default_rng(0).integers(-100, 100, (1500, 2000)).astype(source)
    tensor = stored(tmp_path / "file", values)
    out = np.empty(values.shape, target)
    tracemalloc.start()
    tensor.read_into(out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(out, values.astype(target))
    # The whole tensor is 6 to 24 MB.
    assert peak < 4.5e6


def test_reading_of_the_same_dtype_takes_no_memory_of_its_own(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(500, 1000)).astype(np.float32)
    tensor = stored(tmp_path / "file", values)
    out = np.empty_like(values)
    tracemalloc.start()
    tensor.read_into(out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(out, values)
    assert peak < 1e5


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (1500, 1000)])
def test_fortran_order(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    path = tmp_path / "file"
    path.write_bytes(values.tobytes(order="F"))
    tensor = FileTensor(path, "float64", shape, Span(0, values.nbytes), transposed=True)
    assert np.array_equal(tensor.read(), values) and tensor.read().flags.c_contiguous


def test_bytes_as_text(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(1200, 1100)).astype(np.float32)
    text = values.tobytes().decode("latin-1").encode("utf-8")
    path = tmp_path / "file"
    path.write_bytes(b"head" + text)
    tensor = FileTensor(path, "float32", values.shape, Span(4, len(text), text=True))
    assert np.array_equal(tensor.read(), values)
    out = np.empty(values.shape, np.float64)
    tensor.read_into(out)
    assert np.array_equal(out, values)
    # The declared text goes on after the last element.
    long = FileTensor(path, "float32", (1200, 1090), Span(4, len(text), text=True))
    with pytest.raises(UserError, match="more bytes"):
        long.read()


def test_joined_parts(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float16)
    parts = tuple(stored(tmp_path / str(i), part) for i, part in enumerate(np.split(values, [5, 6, 20])))
    tensor = JoinedTensor(tmp_path / "0", "float16", (4, 6), parts)
    assert np.array_equal(tensor.read(), values.reshape(4, 6))
    with pytest.raises(UserError, match="do not make the whole"):
        JoinedTensor(tmp_path / "0", "float16", (4, 6), parts[:2])


def test_a_file_that_shrank_is_told(tmp_path: Path) -> None:
    tensor = stored(tmp_path / "file", np.arange(100))
    (tmp_path / "file").write_bytes(bytes(300))
    with pytest.raises(UserError, match="shorter than it says; download it again"):
        tensor.read()
    (tmp_path / "file").unlink()
    with pytest.raises(UserError, match="cannot be read"):
        tensor.read()


@pytest.mark.parametrize("out", [np.empty((3, 2)), np.empty((2, 3), order="F"), np.empty(6)])
def test_another_shape_is_refused(tmp_path: Path, out: np.ndarray) -> None:
    with pytest.raises(ValueError, match="shape"):
        stored(tmp_path / "file", np.zeros((2, 3))).read_into(out)


@pytest.mark.parametrize(("source", "target"), [("float32", "int64"), ("int64", "int32"), ("bfloat16", "int16")])
def test_a_dtype_that_loses_values_is_refused(tmp_path: Path, source: str, target: str) -> None:
    values = np.zeros(4, np.uint16 if source == "bfloat16" else source)
    with pytest.raises(UserError, match=f"{source} where {target}"):
        stored(tmp_path / "file", values, source).read_into(np.empty(4, target))


@pytest.mark.parametrize(
    ("dtype", "shape", "length"),
    [
        ("float32", (2, 3), 23),
        ("float32", (10**18,), 16),
        ("float32", (10**19, 0), 0),
        ("float32", (-1, -4), 16),
        ("float32", (2.0, 2), 16),
        ("float32", (1,) * 33, 4),
        ("complex64", (1,), 8),
    ],
)
def test_impossible_tensors_are_refused(tmp_path: Path, dtype: str, shape: Any, length: int) -> None:
    with pytest.raises(UserError, match="damaged|does not read"):
        FileTensor(tmp_path / "file", dtype, shape, Span(0, length))
