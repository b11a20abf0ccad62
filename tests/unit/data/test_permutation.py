"""The order of samples: each once, as random as its key, and none of it kept."""

from __future__ import annotations

import numpy as np
import pytest

from ppernie.data.permutation import Permutation


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 16, 17, 1000, 65_536, 65_537])
def test_every_number_comes_once(count: int) -> None:
    found = Permutation(count, 3, 1)(np.arange(count))
    assert sorted(found.tolist()) == list(range(count))


def test_the_order_is_a_function_of_the_key_alone() -> None:
    numbers = np.arange(1000)
    orders = [Permutation(1000, *key)(numbers).tolist() for key in ((1, 2, 0), (1, 2, 1), (2, 2, 0), (1, 2, 0))]
    assert orders[0] == orders[3]
    assert len({tuple(order) for order in orders}) == 3


def test_numbers_are_found_one_by_one_in_an_order_of_any_size() -> None:
    order = Permutation(700_000_000, 5)
    assert order(np.asarray([699_999_999])).tolist() == order(np.asarray([0, 699_999_999]))[1:].tolist()


@pytest.mark.parametrize("count", [7, 12, 1000])
def test_every_place_is_as_likely_for_every_number(count: int) -> None:
    """Over 2,000 keys, where a number goes has the mean and variance of a uniform draw, as have their neighbours."""
    places = np.stack([Permutation(count, key)(np.arange(count)[:8]) for key in range(2000)]).astype(float)
    deviation = np.sqrt((count**2 - 1) / 12)
    assert np.abs(places.mean(0) - (count - 1) / 2).max() < 4 * deviation / np.sqrt(2000)
    assert np.abs(places.std(0) / deviation - 1).max() < 0.06
    assert np.abs(np.corrcoef(places.T)[np.triu_indices(7, 1)] + 1 / (count - 1)).max() < 0.1
