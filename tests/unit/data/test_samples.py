"""A few inputs from all over the data."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ppernie.config.sections import Config
from ppernie.data.samples import sample_items

NAME = "sequence_classification"


@pytest.fixture
def task() -> Any:
    """Makes two items of each example, its number and which one it is."""
    return SimpleNamespace(expand=lambda example, labelled: [(int(example["text"]), part) for part in (0, 1)])


@pytest.fixture
def data(make_config: Callable[..., Config], tmp_path: Any) -> Any:
    (tmp_path / "numbers.txt").write_text("".join(f"{number}\n" for number in range(100)), encoding="utf-8")
    return make_config(**{"Data.train.files": "numbers.txt"}).Data


def test_items_come_from_all_over_a_sorted_source(data: Any, task: Any) -> None:
    items = sample_items(task, NAME, data.train, data, 10)
    assert items == [(number, 0) for number in range(0, 100, 10)]
    assert sample_items(task, NAME, data.train, data, 10) == items
    assert [number for number, _ in sample_items(task, NAME, data.train, data, 3)] == [0, 33, 66]


def test_no_more_than_there_are(data: Any, task: Any) -> None:
    everything = [(number, part) for number in range(100) for part in (0, 1)]
    assert sample_items(task, NAME, data.train, data, 500) == everything
    # A limit of the source's own comes first.
    own = data.train.model_copy(update={"limit": 4})
    assert sample_items(task, NAME, own, data, 500) == everything[:8]
