"""Word tables of half precision that are larger than what memory is to hold: rows are read when they are asked for."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn

from ppernie.slim.weight_only.network import in_place
from ppernie.slim.weight_only.products import linear
from ppernie.zoo.formats import StoredTensor
from ppernie.zoo.formats.rows import blocks, take_rows


class FileEmbedding(nn.Layer):
    """An embedding whose table [rows, size] stays in its file; the rows that it gives are float32.

    Attributes:
        weight: the table.
    """

    def __init__(self, table: StoredTensor) -> None:
        super().__init__()
        self.weight = table

    def forward(self, ids: paddle.Tensor) -> paddle.Tensor:
        """int64 [...] -> float32 [..., size]. Raises ValueError for an id that the table does not have."""
        wanted, places = np.unique(ids.numpy(), return_inverse=True)
        count = self.weight.shape[0]
        if wanted.size and not 0 <= wanted[0] <= wanted[-1] < count:
            raise ValueError(f"ids from {wanted[0]} to {wanted[-1]} in a table of {count} rows")
        rows = np.empty((len(wanted), *self.weight.shape[1:]), np.float32)
        for place, row in enumerate(wanted.tolist()):
            rows[place : place + 1] = take_rows(self.weight, row, row + 1)
        return paddle.to_tensor(rows[places.reshape(ids.shape)])


class FileDecoder(nn.Layer):
    """``ppernie.nn.layers.TiedDecoder`` over a table in a file, of which a few MB at a time are in memory."""

    def __init__(self, bias: paddle.Tensor | None) -> None:
        super().__init__()
        self.bias = bias

    def forward(self, x: paddle.Tensor, table: StoredTensor) -> paddle.Tensor:
        """``x @ table.T + bias``: [..., hidden] and float16 [vocab, hidden] -> [..., vocab]."""
        parts = [linear(x, in_place(take_rows(table, *block))) for block in blocks(table.shape, table.dtype)]
        scores = paddle.concat(parts, axis=-1)
        return scores if self.bias is None else scores + self.bias
