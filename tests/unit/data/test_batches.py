from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.data.batches import Counts, TrainingBatches, evaluation_batches, plan_epoch

LENGTHS = np.random.default_rng(3).integers(1, 100, 1037)


@pytest.mark.parametrize(("items", "batch_size"), [(1037, 8), (1037, 1), (1037, 5000), (8, 8), (1, 4)])
def test_every_index_occurs_once_an_epoch(items: int, batch_size: int) -> None:
    plan = plan_epoch(LENGTHS[:items], batch_size, seed=1, epoch=0)
    assert sorted(np.concatenate(plan).tolist()) == list(range(items))
    assert len(plan) == -(-items // batch_size)
    assert sorted(map(len, plan))[1:] == [batch_size] * (len(plan) - 1)


def test_the_plan_is_a_pure_function_of_seed_and_epoch() -> None:
    def flat(seed: int, epoch: int) -> list[int]:
        np.random.seed(seed + epoch)
        return np.concatenate(plan_epoch(LENGTHS, 8, seed, epoch)).tolist()

    assert flat(1, 2) == flat(1, 2)
    assert len({tuple(flat(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_batches_of_like_length_pad_less_and_still_come_in_random_order() -> None:
    def padding(plan: list[np.ndarray]) -> int:
        return sum(int((LENGTHS[batch].max() - LENGTHS[batch]).sum()) for batch in plan)

    plan = plan_epoch(LENGTHS, 8, seed=1, epoch=0)
    unsorted = np.array_split(np.random.default_rng(0).permutation(len(LENGTHS)), len(plan))
    assert padding(plan) < padding(unsorted) / 5
    longest = [LENGTHS[batch].max() for batch in plan]
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.3


@pytest.fixture(scope="module")
def task(make_task: Callable[..., Any]) -> Any:
    return make_task("masked_language_modeling")


@pytest.fixture(scope="module")
def items(task: Any) -> list[Any]:
    texts = ["北京市" * (1 + k % 5) for k in range(30)]
    return [item for k, text in enumerate(texts) for item in task.expand({"text": f"{k}{text}"}, True)]


def collect(batches: TrainingBatches, epoch: int, start: int = 0) -> list[tuple[dict[str, np.ndarray], Counts]]:
    return [
        ({name: tensor.numpy() for name, tensor in batch.items()}, counts)
        for batch, counts in batches.iterate(epoch, start)
    ]


def assert_same(left: list[Any], right: list[Any]) -> None:
    assert len(left) == len(right)
    for (batch, counts), (other, other_counts) in zip(left, right, strict=True):
        assert counts == other_counts
        assert batch.keys() == other.keys()
        for name in batch:
            np.testing.assert_array_equal(batch[name], other[name])
            assert batch[name].dtype == other[name].dtype


def test_workers_make_the_batches_that_the_process_itself_makes(task: Any, items: list[Any]) -> None:
    alone = collect(TrainingBatches(task, items, 4, 5, workers=0), 1)
    assert_same(alone, collect(TrainingBatches(task, items, 4, 5, workers=2), 1))
    assert len(alone) == 8


def test_an_epoch_is_planned_before_the_workers_are_forked(
    task: Any, items: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def noted(*arguments: Any) -> Any:
        with (tmp_path / "planned").open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        return plan_epoch(*arguments)

    monkeypatch.setattr("ppernie.data.batches.plan_epoch", noted)
    batches = TrainingBatches(task, items, 4, 5, workers=2)
    for epoch in range(2):
        assert len(collect(batches, epoch)) == 8
    assert (tmp_path / "planned").read_text(encoding="utf-8") == f"{os.getpid()}\n" * 2


@pytest.mark.parametrize("start", [0, 3, 7, 8])
def test_an_epoch_can_be_entered_anywhere(task: Any, items: list[Any], start: int) -> None:
    batches = TrainingBatches(task, items, 4, 5, workers=0)
    assert_same(collect(batches, 1, start), collect(batches, 1)[start:])


def test_masks_and_order_change_with_the_epoch(task: Any, items: list[Any]) -> None:
    batches = TrainingBatches(task, items, 30, 5, workers=0)
    (first, _), (second, _) = collect(batches, 0)[0], collect(batches, 1)[0]
    assert not np.array_equal(first["input_ids"], second["input_ids"])


def test_counts(task: Any, items: list[Any]) -> None:
    batches = TrainingBatches(task, items, 4, 5, workers=0)
    found = collect(batches, 0)
    for batch, counts in found:
        assert counts.weights == (len(batch["labels"]),) == (len(batch["masked_positions"]),)
        assert counts.samples == len(batch["input_ids"])
        assert counts.tokens == (batch["input_ids"] != task.tokenizer.pad_id).sum()
    assert len(batches) == len(found)
    assert sum(counts.samples for _, counts in found) == len(items)


def test_evaluation_sees_every_item_once_the_longest_first(task: Any, items: list[Any]) -> None:
    found = list(evaluation_batches(task, items, 7))
    assert sorted(np.concatenate([indices for indices, _ in found]).tolist()) == list(range(len(items)))
    widths = [batch["input_ids"].shape[1] for _, batch in found]
    assert widths == sorted(widths, reverse=True)
    for (_, batch), (_, again) in zip(found, evaluation_batches(task, items, 7), strict=True):
        np.testing.assert_array_equal(batch["input_ids"], again["input_ids"])


@pytest.mark.parametrize("world", [2, 4])
def test_the_ranks_parts_make_the_batch_of_one(task: Any, items: list[Any], world: int) -> None:
    """Of the last batch of 25 items, one item, most ranks get nothing."""
    for several in (items, items[:25]):
        whole = [counts for _, counts in collect(TrainingBatches(task, several, 8, 5, workers=0), 0)]
        ranks = [TrainingBatches(task, several, 8 // world, 5, 0, rank, world) for rank in range(world)]
        parts = [[counts for _, counts in collect(batches, 0)] for batches in ranks]
        assert [_together(counts) for counts in zip(*parts, strict=True)] == whole
    assert Counts(0, 0, (0,)) in {counts for part in parts for counts in part}


def _together(counts: tuple[Counts, ...]) -> Counts:
    weight = sum(count.weights[0] for count in counts)
    return Counts(sum(count.samples for count in counts), sum(count.tokens for count in counts), (weight,))
