"""Batches over streams: what a step holds, and that nothing depends on where a run starts or how many ranks it has."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ppernie.data.streams import Shape, Stream, StreamBatches, evaluation_batches
from ppernie.errors import UserError


def size_of(indices: np.ndarray) -> np.ndarray:
    """1 to 64 tokens, which the order of the samples does not tell."""
    return 1 + indices * 37 % 64


class Numbers(Stream):
    """Samples that say what they are: the index, the length and a random number."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def sample(self, index: int, length: int, rng: np.random.Generator) -> dict[str, Any]:
        return {"index": index, "length": length, "drawn": int(rng.integers(1 << 30))}

    def sizes(self, indices: np.ndarray, length: int) -> np.ndarray:
        return np.minimum(size_of(indices), length)

    def collate(self, features: Sequence[dict[str, Any]], length: int) -> dict[str, np.ndarray]:
        assert all(sample["length"] == length for sample in features)
        ids = np.full([len(features), length], 1, np.int64)
        rows = {name: np.asarray([sample[name] for sample in features]) for name in ("index", "drawn")}
        return {"input_ids": ids, "stream": np.full([1], self.count), **rows}


@pytest.fixture
def task() -> Any:
    """Counts the samples of either stream as units of an objective of its own."""

    def weights(batch: dict[str, np.ndarray]) -> dict[str, float]:
        return {"five" if batch["stream"][0] == 5 else "seven": float(len(batch["index"]))}

    return SimpleNamespace(
        id_names=("input_ids",),
        objectives={"five": 1.0, "seven": 2.0},
        weights=weights,
        tokenizer=SimpleNamespace(pad_id=0),
    )


def _batches(task: Any, rank: int = 0, world: int = 1, workers: int = 0, steps: int = 6) -> StreamBatches:
    shapes = [Shape(2 + step % 3, 8 + 8 * (step > 2), 2) for step in range(steps)]
    return StreamBatches(task, {"a": Numbers(5), "b": Numbers(7)}, shapes, 3, workers, rank, world)


def test_a_step_has_every_stream_in_turn(task: Any) -> None:
    batches = _batches(task)
    found = list(batches.iterate(0))
    assert len(found) == len(batches) == 6 * 2 * 2
    assert [int(batch["stream"]) for batch, _ in found[:4]] == [5, 7, 5, 7]
    for number, (batch, counts) in enumerate(found):
        step = number // 4
        assert list(batch["input_ids"].shape) == [2 + step % 3, 8 + 8 * (step > 2)]
        assert counts.samples == len(batch["index"]) and counts.tokens == batch["input_ids"].size
        assert counts.weights == ((counts.samples, 0.0) if number % 2 == 0 else (0.0, counts.samples))


def test_steps_of_more_and_more_rounds(task: Any) -> None:
    """However many rounds deal them out, as many rows hold the same samples."""
    found = []
    for rounds in ((1, 2, 4), (3, 2, 3)):
        shapes = [Shape(rows, 8 * rows, count) for rows, count in zip((2, 3, 4), rounds, strict=True)]
        batches = StreamBatches(task, {"a": Numbers(50), "b": Numbers(70)}, shapes, 3, 0)
        assert batches.ends(9).tolist() == (2 * np.cumsum(rounds)).tolist() and len(batches) == 2 * sum(rounds)
        made = [batch["input_ids"].shape for batch, _ in batches.iterate(0)]
        assert made == [
            [rows, 8 * rows] for rows, count in zip((2, 3, 4), rounds, strict=True) for _ in range(2 * count)
        ]
        found.append(sorted(x for batch, _ in batches.iterate(0) for x in batch["drawn"].tolist()))
    assert found[0] == found[1] and len(found[0]) == 2 * 24


def test_every_sample_comes_once_before_one_comes_again(task: Any) -> None:
    seen = np.concatenate([batch["index"].numpy() for batch, _ in list(_batches(task).iterate(0))[::2]]).tolist()
    for start in range(0, len(seen) - 5, 5):
        assert sorted(seen[start : start + 5]) == list(range(5))
    assert seen[:5] != seen[5:10] or seen[5:10] != seen[10:15]


GROWING = [Shape(4 + step // 20, 64, 2) for step in range(150)]


def _indices(task: Any, samples: int, shapes: Sequence[Shape] = GROWING) -> list[np.ndarray]:
    """What each batch of a stream holds."""
    batches = StreamBatches(task, {"a": Numbers(samples)}, shapes, 3, 0)
    return [batch["index"].numpy() for batch, _ in batches.iterate(0)]


@pytest.mark.parametrize("samples", [1, 3, 10, 100, 333])
def test_batches_of_like_size_hold_every_sample_once_a_pass(task: Any, samples: int) -> None:
    found = _indices(task, samples)
    assert [len(indices) for indices in found] == [shape.rows for shape in GROWING for _ in range(2)]
    seen = np.concatenate(found)
    for start in range(0, len(seen), samples):
        part = seen[start : start + samples]
        assert len(set(part)) == len(part)


def test_samples_of_like_size_share_a_batch(task: Any) -> None:
    found = _indices(task, 2000, [Shape(16, 64, 2)] * 50)
    longest, total = (sum(f(size_of(indices)) for indices in found) for f in (np.max, np.sum))
    assert total / (16 * longest) > 0.95  # 0.55 at random


def test_short_and_long_batches_come_in_random_order(task: Any) -> None:
    means = [size_of(indices).mean() for indices in _indices(task, 100_000, [Shape(16, 64, 2)] * 500)]
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.2
    places = np.arange(len(means)) % 50
    assert abs(np.corrcoef(means, places)[0, 1]) < 0.2


def test_where_all_are_cut_alike_no_size_is_preferred(task: Any) -> None:
    found = _indices(task, 2000, [Shape(16, 1, 2)] * 50)
    assert min(np.ptp(size_of(indices)) for indices in found) > 20


def test_no_batch_depends_on_what_was_made_before(task: Any) -> None:
    batches = StreamBatches(task, {"a": Numbers(333), "b": Numbers(50)}, GROWING, 3, 0)
    backwards = [batches.make(number, 0)["drawn"].tolist() for number in reversed(range(len(batches)))]
    assert [batch["drawn"].tolist() for batch, _ in batches.iterate(0)] == backwards[::-1]


def test_a_run_that_goes_on_sees_what_the_uninterrupted_one_does(task: Any) -> None:
    whole = list(_batches(task).iterate(0))
    for start in (1, 10):
        for (found, _), (expected, _) in zip(_batches(task).iterate(0, start), whole[start:], strict=True):
            assert {name: x.tolist() for name, x in found.items()} == {n: x.tolist() for n, x in expected.items()}


def test_ranks_share_a_batch(task: Any) -> None:
    whole = [batch["drawn"].tolist() for batch, _ in _batches(task).iterate(0)]
    parts = [list(_batches(task, rank, 3).iterate(0)) for rank in range(3)]
    for number, expected in enumerate(whole):
        found = [x for part in parts for x in part[number][0]["drawn"].tolist()[: int(part[number][1].samples)]]
        assert found == expected
    assert any(counts.samples == 0 and counts.weights == (0, 0) for part in parts for _, counts in part)


def test_evaluation_is_the_same_every_time(task: Any) -> None:
    streams = {"a": Numbers(5), "b": Numbers(7)}
    first, again = (list(evaluation_batches(streams, 16, 2, 3)) for _ in range(2))
    assert [len(batch["index"]) for batch in first] == [2, 1, 2, 1]
    assert [batch["drawn"].tolist() for batch in first] == [batch["drawn"].tolist() for batch in again]
    assert sum(len(batch["index"]) for batch in evaluation_batches(streams, 16, 2, None)) == 12


@pytest.mark.parametrize("limit", [1, 2, 7, 8, 100])
def test_evaluation_is_spread_over_the_whole_stream(limit: int) -> None:
    """Of as many equal parts, each has one sample."""
    found = np.concatenate([batch["index"] for batch in evaluation_batches({"a": Numbers(100)}, 16, 3, limit)])
    assert (found * limit // 100).tolist() == list(range(limit))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_cannot_be_made_ends_the_run_with_its_reason(task: Any, workers: int) -> None:
    class Faulty(Numbers):
        def sample(self, index: int, length: int, rng: np.random.Generator) -> dict[str, Any]:
            raise self.error

    for error, told in ((UserError("text 7 is empty"), "^text 7 is empty$"), (ValueError("odd"), "(?s)batch 0 .*odd")):
        stream = Faulty(5)
        stream.error = error
        batches = StreamBatches(task, {"a": stream}, [Shape(2, 8, 1)] * 3, 3, workers)
        with pytest.raises(UserError, match=told):
            next(batches.iterate(0))
