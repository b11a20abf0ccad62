"""Rotary positions (Su et al. 2021, arXiv:2104.09864), in the layout that pairs the halves of a head."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import paddle
from paddle import nn

Precision = Literal["float32", "float16"]


class Rotation(NamedTuple):
    """By how much every token's queries and keys are turned: ``cos`` and ``sin`` [batch, length, 1, 1, parts, size]."""

    cos: paddle.Tensor
    sin: paddle.Tensor


class RotaryTable(nn.Layer):
    """Cosines and sines of the angles of all positions; nothing here is learned or stored.

    Args:
        positions: number of positions, from 0.
        size: of what is rotated by one position: a head, or a part of it; even.
        precision: of frequencies, angles, cosines and sines. GLM-130B was trained with all of them in half precision.
    """

    cos: paddle.Tensor
    sin: paddle.Tensor

    def __init__(self, positions: int, size: int, precision: Precision) -> None:
        super().__init__()
        frequencies = (1.0 / 10000.0 ** (np.arange(0, size, 2) / size)).astype(precision)
        angles = np.outer(np.arange(positions).astype(precision), frequencies)
        for name, values in (("cos", np.cos(angles)), ("sin", np.sin(angles))):
            table = paddle.to_tensor(np.concatenate([values, values], axis=-1).astype(np.float32))
            self.register_buffer(name, table, persistable=False)

    def forward(self, position_ids: paddle.Tensor) -> Rotation:
        """int64 [batch, parts, length]: one position for each part of a head."""
        batch, parts, length = position_ids.shape
        ids = position_ids.transpose([0, 2, 1]).flatten()
        cos, sin = (
            table.gather(ids).reshape([batch, length, 1, 1, parts, table.shape[-1]]) for table in (self.cos, self.sin)
        )
        return Rotation(cos, sin)


def rotate(x: paddle.Tensor, rotation: Rotation) -> paddle.Tensor:
    """Turns [batch, length, heads, n, head size]; the head's parts lie one after the other."""
    cos, sin = rotation
    parts = x.reshape([*x.shape[:-1], *cos.shape[-2:]])
    first, second = parts.chunk(2, axis=-1)
    turned = parts * cos.astype(x.dtype) + paddle.concat([-second, first], axis=-1) * sin.astype(x.dtype)
    return turned.reshape(x.shape)
