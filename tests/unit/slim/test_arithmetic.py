"""Whole numbers and scales against the definition, number by number, and against the published lines."""

from __future__ import annotations

import numpy as np
import pytest

from ppernie.slim.weight_only import Scheme, dequantize, quantize
from ppernie.slim.weight_only.arithmetic import pack, unpack

SCHEMES = [Scheme(bits=bits, group_size=size) for bits in (4, 8) for size in (None, 2, 8)]


def drawn(rows: int, inputs: int, dtype: str = "float16", seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((rows, inputs)) * 0.02).astype(dtype)


def by_definition(run: np.ndarray, largest: int) -> tuple[list[int], np.float16]:
    """Numbers and scale of a run of weights that share one, with Python's own rounding of a half to even."""
    scale = np.float16(np.float32(max(abs(run.astype(np.float32)))) / np.float32(largest))
    if scale == 0:
        return [0] * len(run), scale
    quotients = [run.dtype.type(np.float32(weight) / np.float32(scale)) for weight in run]
    return [max(-largest, min(largest, round(float(quotient)))) for quotient in quotients], scale


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_every_number_is_as_defined(scheme: Scheme, dtype: str) -> None:
    rows = drawn(9, 16, dtype)
    rows[2] = 0
    rows[3, :8] = 0
    rows[4] = 1e-7  # its scale is 0 in half precision, or of one bit
    rows[5] = np.float16(0.5) * np.arange(-8, 8)  # quotients halfway between two numbers
    rows[6, 0] = 6e4
    weight, scale = quantize(rows, scheme)
    assert (weight.dtype, scale.dtype) == (np.int8, np.float16)
    assert weight.shape == scheme.weight_shape(9, 16) and scale.shape == scheme.scale_shape(9, 16)
    numbers = (unpack(weight) if scheme.bits == 4 else weight).reshape(*scale.shape, -1)
    for place in np.ndindex(scale.shape):
        expected, of_run = by_definition(rows.reshape(numbers.shape)[place], scheme.largest)
        assert numbers[place].tolist() == expected and scale[place] == of_run, place


@pytest.mark.parametrize("bits", [4, 8])
def test_the_published_lines_give_the_same_bits(bits: int) -> None:
    torch = pytest.importorskip("torch")
    rows = drawn(64, 384, seed=1)
    weight = torch.from_numpy(rows)
    scale = (weight.abs().max(dim=-1).values / (2 ** (bits - 1) - 1)).half()
    numbers = torch.round(weight / scale[:, None]).to(torch.int8).numpy()
    stored, scales = quantize(rows, Scheme(bits=bits))
    if bits == 4:
        high, low = numbers[:, 0::2].astype(int), numbers[:, 1::2].astype(int)
        numbers = (((high & 15) << 4) | (low & 15)).astype(np.uint8).view(np.int8)
    assert np.array_equal(stored, numbers)
    assert np.array_equal(scales.view(np.uint16), scale.numpy().view(np.uint16))


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_what_comes_back_is_half_a_step_away_at_most(scheme: Scheme) -> None:
    rows = drawn(40, 64, "float32", seed=2)
    weight, scale = quantize(rows, scheme)
    read = dequantize(weight, scale, scheme)
    assert read.dtype == np.float32
    # The scale's own rounding can cost the largest weight 1 in 2,048.
    step = np.repeat(scale.astype(np.float32).reshape(40, -1), 64 // (scale.size // 40), axis=1)
    assert (np.abs(read - rows) <= step * (0.5 + scheme.largest / 2048)).all()
    again, scale_again = quantize(read, scheme)
    assert np.array_equal(again, weight) and np.array_equal(scale_again, scale)


def test_groups_are_nearer_than_whole_rows() -> None:
    rows = drawn(64, 256, "float32", seed=3) * np.random.default_rng(4).lognormal(size=256).astype(np.float32)

    def error(size: int | None) -> float:
        scheme = Scheme(bits=4, group_size=size)
        return float(np.square(dequantize(*quantize(rows, scheme), scheme) - rows).mean())

    assert error(16) < error(64) < error(None)


def test_every_pair_of_numbers_survives_packing() -> None:
    pairs = np.array([(high, low) for high in range(-8, 8) for low in range(-8, 8)], np.int8)
    packed = pack(pairs)
    assert [int(byte) for byte in packed.view(np.uint8).ravel()] == [(h & 15) << 4 | (low & 15) for h, low in pairs]
    assert np.array_equal(unpack(packed), pairs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_numbers_that_are_none_are_refused(value: float, scheme: Scheme) -> None:
    rows = drawn(4, 16)
    rows[1, 5] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        quantize(rows, scheme)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="too large for a scale"):
        quantize(np.full((2, 4), 1e6, np.float32), Scheme(bits=4))
    with pytest.raises(ValueError, match="holds numbers of int8"):
        quantize(np.ones((2, 4), np.int8), Scheme(bits=8))
    with pytest.raises(ValueError, match="bytes of two 4-bit numbers"):
        quantize(drawn(2, 5), Scheme(bits=4))
    with pytest.raises(ValueError, match="not a multiple of the group size 6"):
        quantize(drawn(2, 16), Scheme(bits=8, group_size=6))
