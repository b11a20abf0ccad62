"""Symmetric quantisation of matrices by output: whole numbers of 8 or 4 bits, and a scale for each row or group.

A matrix stands here as rows [out, in], one for each output, as GLM-130B's files have it; the network's own weights are
[in, out]. On the disk a quantised weight is two tensors:

* ``X.weight``, int8 [out, in] for 8 bits; for 4 bits int8 [out, in / 2], whose byte j holds input 2j in its high half
  and input 2j + 1 in its low half;
* ``X.weight_scale``, float16 [out], or [out, in / group] where inputs are grouped.

Source: arXiv:2210.02414, section 4 and appendix B.7; THUDM/GLM-130B, quantization/layers.py and
cuda/quantization.cu. Without groups the two tensors are the published ones, bit by bit.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field


class Scheme(BaseModel):
    """How weights are quantised."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    bits: Literal[4, 8] = Field(description="8: numbers from -127 to 127; 4: from -7 to 7")
    group_size: int | None = Field(
        default=None, ge=2, description="Inputs that share a scale; null: all inputs of an output"
    )

    @property
    def largest(self) -> int:
        """The largest whole number."""
        return 2 ** (self.bits - 1) - 1

    def weight_shape(self, outputs: int, inputs: int) -> tuple[int, int]:
        """The shape of the stored whole numbers. Raises ValueError where so many inputs cannot be stored."""
        if self.bits == 4 and inputs % 2:
            raise ValueError(f"{inputs} inputs do not fill bytes of two 4-bit numbers")
        return outputs, inputs * self.bits // 8

    def scale_shape(self, outputs: int, inputs: int) -> tuple[int, ...]:
        """The shape of the scales. Raises ValueError where groups do not fill the inputs."""
        if self.group_size is None:
            return (outputs,)
        if inputs % self.group_size:
            raise ValueError(f"{inputs} inputs are not a multiple of the group size {self.group_size}")
        return outputs, inputs // self.group_size


class Quantization(Scheme):
    """What ``config.json`` says of a folder whose weights are quantised.

    Attributes:
        weights: names of those that are.
    """

    weights: list[str]

    @property
    def scheme(self) -> Scheme:
        """How they are."""
        return Scheme(bits=self.bits, group_size=self.group_size)


def quantize(rows: npt.NDArray[np.floating], scheme: Scheme) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float16]]:
    """Whole numbers and scales of rows [out, in], as they are stored.

    The scale is the largest magnitude over ``scheme.largest``, rounded to half precision; a number is the weight over
    the scale, rounded to the nearest whole number, a half to the even one. As in the published code, weights of half
    precision are divided in half precision. Rows so small that their scale is 0, among them rows of zeros, become 0.

    Raises:
        ValueError: the shape does not suit the scheme, the weights are whole numbers, or one is not finite, or so large
            that its scale is not.
    """
    if rows.dtype.kind != "f":
        raise ValueError(f"holds numbers of {rows.dtype}")
    packed, scales = scheme.weight_shape(*rows.shape), scheme.scale_shape(*rows.shape)
    values = rows.reshape(*scales, -1).astype(np.float32)
    largest = np.maximum(values.max(-1), -values.min(-1))
    if not np.isfinite(largest).all():
        raise ValueError("holds NaN or infinity")
    with np.errstate(over="ignore"):
        scale = (largest / np.float32(scheme.largest)).astype(np.float16)
    if not np.isfinite(scale).all():
        raise ValueError(f"holds {largest.max():g}, too large for a scale of half precision")
    values /= np.where(scale == 0, 1, scale).astype(np.float32)[..., None]
    if rows.dtype == np.float16:
        _round_to_half(values)
    np.rint(values, out=values)
    # A scale of few bits, near the smallest that there are, may be too small for its row.
    np.clip(values, -scheme.largest, scheme.largest, out=values)
    numbers = values.astype(np.int8).reshape(rows.shape)
    return (pack(numbers) if scheme.bits == 4 else numbers).reshape(packed), scale


def _round_to_half(values: npt.NDArray[np.float32]) -> None:
    """Rounds to the 11 bits of half precision, a half to even, in place; casting to and fro takes ten times as long.

    Below 2^-14 half precision has fewer bits, which does not matter to a number that is rounded to a whole one.
    """
    bits = values.view(np.uint32)
    odd = (bits >> np.uint32(13)) & np.uint32(1)
    bits += odd + np.uint32(0xFFF)
    bits &= np.uint32(0xFFFFE000)


def dequantize(weight: npt.NDArray[np.int8], scale: npt.NDArray[np.float16], scheme: Scheme) -> npt.NDArray[np.float32]:
    """Rows [out, in] from what is stored; the products are exact in float32."""
    numbers = unpack(weight) if scheme.bits == 4 else weight
    groups = numbers.reshape(*scale.shape, -1).astype(np.float32)
    groups *= scale.astype(np.float32)[..., None]
    return groups.reshape(numbers.shape)


def pack(numbers: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Numbers from -8 to 7, [out, in], two to a byte, [out, in / 2]."""
    return (numbers[:, 0::2] << 4) | (numbers[:, 1::2] & 15)


def unpack(packed: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """The numbers, [out, in], of bytes [out, in / 2]; shifts of int8 keep the sign."""
    numbers = np.empty((packed.shape[0], 2 * packed.shape[1]), np.int8)
    numbers[:, 0::2] = packed >> 4
    numbers[:, 1::2] = (packed << 4) >> 4
    return numbers
