"""Word tables that stay in their file."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppernie.inference.tables import FileDecoder, FileEmbedding
from ppernie.zoo.formats import StoredTensor, open_weights
from ppernie.zoo.formats.rows import blocks
from ppernie.zoo.weights import write_weights

ROWS, SIZE = 3000, 2048


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    paddle.set_device("cpu")
    return np.random.default_rng(0).standard_normal((ROWS, SIZE)).astype(np.float16)


@pytest.fixture(scope="module")
def table(values: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> StoredTensor:
    path = tmp_path_factory.mktemp("table") / "model.safetensors"
    write_weights(path, {"before": values[:7], "table": values, "after": values[:7]})
    return open_weights(path)["table"]


def test_rows(table: StoredTensor, values: np.ndarray) -> None:
    ids = np.array([[5, 0, 5], [ROWS - 1, 17, 0]])
    found = FileEmbedding(table)(paddle.to_tensor(ids))
    assert np.array_equal(found.numpy(), values[ids].astype(np.float32))


@pytest.mark.parametrize("wrong", [-1, ROWS])
def test_ids_beside_the_table(table: StoredTensor, wrong: int) -> None:
    with pytest.raises(ValueError, match=f"in a table of {ROWS} rows"):
        FileEmbedding(table)(paddle.to_tensor([[3, wrong]]))


def test_scores(table: StoredTensor, values: np.ndarray) -> None:
    assert len(list(blocks(table.shape, table.dtype))) > 1
    x = np.random.default_rng(1).standard_normal((2, 3, SIZE)).astype(np.float32)
    expected = x.astype(np.float64) @ values.T.astype(np.float64)
    bias = paddle.arange(ROWS, dtype="float32")
    for decoder, more in ((FileDecoder(None), 0.0), (FileDecoder(bias), np.arange(ROWS))):
        with paddle.no_grad():
            scores = decoder(paddle.to_tensor(x), table)
        np.testing.assert_allclose(scores.numpy(), expected + more, rtol=0, atol=3e-3)
