from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppernie.nn.rotary import RotaryTable, rotate


def turned(x: np.ndarray, positions: list[int], table: RotaryTable) -> np.ndarray:
    """One vector, turned to each of these positions."""
    ids = paddle.to_tensor([[positions]])
    stacked = np.broadcast_to(x.astype(np.float32), (1, len(positions), 1, 1, len(x)))
    return rotate(paddle.to_tensor(np.ascontiguousarray(stacked)), table(ids)).numpy()[0, :, 0, 0]


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 8))


def test_position_0_turns_nothing(vectors: np.ndarray) -> None:
    assert np.allclose(turned(vectors[0], [0], RotaryTable(4, 8, "float32")), vectors[0], atol=1e-6)


def test_products_depend_on_the_distance_alone(vectors: np.ndarray) -> None:
    table = RotaryTable(100, 8, "float32")
    query, key = turned(vectors[0], [5, 25, 90], table), turned(vectors[1], [2, 22, 87], table)
    products = (query * key).sum(-1)
    assert np.allclose(products, products[0], atol=1e-5)
    assert abs((turned(vectors[0], [6], table) * key[:1]).sum() - products[0]) > 1e-2


def test_halves_are_paired(vectors: np.ndarray) -> None:
    """The first number of a pair lies in the first half of the head, the second in the second."""
    x = vectors[0]
    angles = 7 / 10000 ** (np.arange(4) / 4)
    product = (x[:4] + 1j * x[4:]) * np.exp(1j * angles)
    expected = np.concatenate([product.real, product.imag])
    assert np.allclose(turned(x, [7], RotaryTable(8, 8, "float32")), expected, atol=1e-5)


def test_parts_of_a_head_have_positions_of_their_own(vectors: np.ndarray) -> None:
    table = RotaryTable(10, 4, "float32")
    x = paddle.to_tensor(vectors.astype(np.float32).reshape([1, 2, 1, 1, 8]))
    rotation = table(paddle.to_tensor([[[3, 9], [0, 5]]]))
    found = rotate(x, rotation).numpy().reshape([2, 8])
    for token, places in enumerate([(3, 0), (9, 5)]):
        for part, place in enumerate(places):
            half = slice(4 * part, 4 * part + 4)
            assert np.allclose(found[token, half], turned(vectors[token, half], [place], table)[0], atol=1e-6)


def test_angles_in_half_precision() -> None:
    """Every step is rounded, so that far positions are off by much more than the last digit."""
    half, single = (RotaryTable(2048, 128, precision) for precision in ("float16", "float32"))  # type: ignore[arg-type]
    cos = half.cos.numpy()
    assert cos.dtype == np.float32
    assert np.array_equal(cos, cos.astype(np.float16).astype(np.float32))
    assert np.allclose(
        single.cos.numpy()[:, :64], np.cos(np.outer(np.arange(2048), 1e4 ** (-np.arange(64) / 64))), atol=2e-4
    )
    assert np.abs(cos[:10] - single.cos.numpy()[:10]).max() < 5e-3
    assert np.abs(cos - single.cos.numpy()).max() > 0.1


def test_tables_are_not_stored() -> None:
    table = RotaryTable(4, 8, "float32")
    assert not table.state_dict()
    assert not list(table.parameters())
