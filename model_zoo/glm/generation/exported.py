"""A GLM that was exported, as a network that reads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import paddle

from model_zoo.glm.config import GlmConfig
from ppernie.inference.limits import padded_length
from ppernie.inference.steps import StepsPredictor


class Buffer(NamedTuple):
    """Keys and values of what was read, with room for more.

    Attributes:
        keys, values: float32 [batch, layers, heads, capacity, head size].
        start: int64 [batch], where each row begins behind its padding.
        length: tokens read, padding included.
    """

    keys: np.ndarray
    values: np.ndarray
    start: np.ndarray
    length: int


class ExportedGlm:
    """``GlmForBlankInfilling.read``, ``read_on`` and ``select`` by static graphs.

    Lengths are rounded up to a few sizes, for the runtime keeps kernels of every shape it saw. What ``read_on`` reads
    is written into the buffer that it is given, unless that is full: a reading is read on once.
    """

    def __init__(self, predictor: StepsPredictor, config: GlmConfig) -> None:
        self.config = config
        self._predictor = predictor

    def read(
        self, input_ids: paddle.Tensor, position_ids: paddle.Tensor, visible: paddle.Tensor
    ) -> tuple[paddle.Tensor, Buffer]:
        """As the network's; padding is added on the left, and what comes of it is dropped."""
        ids, positions, seen = input_ids.numpy(), position_ids.numpy(), visible.numpy()
        length = ids.shape[1]
        added = max(0, self._rounded(length) - length)
        inputs = {
            "input_ids": np.pad(ids, ((0, 0), (added, 0))),
            "position_ids": np.pad(positions, ((0, 0), (0, 0), (added, 0))),
            "visible": np.pad(seen + added, ((0, 0), (0, 0), (added, 0))),
        }
        logits, keys, values = self._predictor.run("prefill", inputs)
        keys, values = keys[:, :, :, added:], values[:, :, :, added:]
        return paddle.to_tensor(logits), self._roomy(Buffer(keys, values, seen[:, 2, -1], length))

    def read_on(
        self, input_ids: paddle.Tensor, position_ids: paddle.Tensor, reading: Buffer
    ) -> tuple[paddle.Tensor, Buffer]:
        """As the network's."""
        ends = np.full_like(reading.start, reading.length)
        inputs = {
            "input_ids": input_ids.numpy(),
            "position_ids": position_ids.numpy(),
            "bounds": np.stack([reading.start, ends], axis=1),
            "keys": reading.keys,
            "values": reading.values,
        }
        logits, key, value = self._predictor.run("decode", inputs)
        reading = self._roomy(reading)
        reading.keys[:, :, :, reading.length] = key[:, :, :, 0]
        reading.values[:, :, :, reading.length] = value[:, :, :, 0]
        return paddle.to_tensor(logits), reading._replace(length=reading.length + 1)

    def select(self, reading: Buffer, rows: paddle.Tensor) -> Buffer:
        """As the network's."""
        kept = rows.numpy()
        return reading._replace(keys=reading.keys[kept], values=reading.values[kept], start=reading.start[kept])

    def _roomy(self, reading: Buffer) -> Buffer:
        """The reading with room for a token more."""
        capacity = self._rounded(reading.length + 1)
        if capacity <= reading.keys.shape[3]:
            return reading
        room = [(0, 0)] * 3 + [(0, capacity - reading.keys.shape[3]), (0, 0)]
        return reading._replace(keys=np.pad(reading.keys, room), values=np.pad(reading.values, room))

    def _rounded(self, length: int) -> int:
        window = self._predictor.deploy.max_length
        return padded_length(min(length, window), window)
