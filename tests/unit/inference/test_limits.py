from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ppernie.errors import UserError
from ppernie.inference import limits
from ppernie.inference.deploy import Field

FIELDS = [
    Field("ids", "int64", ("batch", "length"), 0, 50),
    Field("types", "int64", ("batch", "length"), 0, 2),
]


def request_of(batch: int = 2, length: int = 4, **changes: Any) -> dict[str, np.ndarray]:
    return {"ids": np.ones((batch, length), "int64"), "types": np.zeros((batch, length), "int64"), **changes}


def test_few_shapes_cover_everything_with_little_waste() -> None:
    lengths = np.arange(1, 513)
    padded = np.array([limits.padded_length(int(length), 512) for length in lengths])
    assert (padded >= lengths).all()
    assert len(set(padded)) <= 12
    assert 1 - lengths.sum() / padded.sum() < 0.25
    rows = np.arange(1, 9)
    padded_rows = np.array([limits.padded_rows(int(row)) for row in rows])
    assert padded_rows.tolist() == [1, 2, 4, 4, 8, 8, 8, 8]


@pytest.mark.parametrize(
    ("length", "limit", "padded"), [(1, 512, 8), (8, 512, 8), (33, 512, 48), (33, 40, 40), (3, 3, 3)]
)
def test_a_length_is_padded_up_to_the_limit(length: int, limit: int, padded: int) -> None:
    assert limits.padded_length(length, limit) == padded


def test_padding_fills_the_end() -> None:
    padded = limits.pad(np.array([[1, 2]]), [2, 3], 9)
    assert padded.tolist() == [[1, 2, 9], [9, 9, 9]]


def test_sizes_are_returned() -> None:
    assert limits.check(request_of(), FIELDS, 8) == {"batch": 2, "length": 4}
    assert limits.check(request_of(batch=0), FIELDS, 8) == {"batch": 0, "length": 4}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"more": np.zeros((2, 4), "int64")}, "wanted"),
        ({"types": np.zeros((2, 4), "int32")}, "types: int32 given, int64 wanted"),
        ({"types": [[0] * 4] * 2}, "types: list given"),
        ({"types": np.zeros(4, "int64")}, r"types: shape \(4,\)"),
        ({"types": np.zeros((2, 5), "int64")}, "types: length is 5, but 4"),
        ({"types": np.zeros((3, 4), "int64")}, "types: batch is 3, but 2"),
    ],
)
def test_a_wrong_request_is_a_bug_of_the_caller(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        limits.check(request_of(**changes), FIELDS, 8)


@pytest.mark.parametrize("bad", [-1, 50, 99_999, 10**7])
def test_an_id_outside_the_table_is_named_with_its_place(bad: int) -> None:
    ids = np.ones((2, 4), "int64")
    ids[1, 2] = bad
    with pytest.raises(UserError, match=rf"ids: id {bad} at \[1, 2\] lies outside 0..49"):
        limits.check(request_of(ids=ids), FIELDS, 8)


@pytest.mark.parametrize("length", [0, 9])
def test_a_length_outside_the_limits_is_refused(length: int) -> None:
    with pytest.raises(UserError, match=rf"length is {length} tokens, outside 1..8"):
        limits.check(request_of(length=length), FIELDS, 8)
