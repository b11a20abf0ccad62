from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError
from ppernie.tasks.metrics.generation import GenerationScore, longest_common_subsequence

ROWS = [
    {"text": "张三住在北京市。", "target": "在哪里？"},
    {"text": "我很好", "target": "今天好不好？"},
    {"text": "哈尔滨是首都" * 5, "target": "是"},
]


@pytest.fixture
def task(make_task: Callable[..., Any]) -> Any:
    return make_task("text_generation", max_length=24, max_target_length=6)


def batch_of(task: Any, labelled: bool = True) -> dict[str, np.ndarray]:
    items = [item for row in ROWS for item in task.expand(row, labelled)]
    return task.collate([task.encode(item, (0, 0, n)) for n, item in enumerate(items)])


def test_the_loss_is_on_the_target_and_its_end(task: Any, tokenizer: ErnieTokenizer) -> None:
    batch = batch_of(task)
    ids, width = batch["document_ids"], batch["document_ids"].shape[1]
    labels, positions = iter(batch["labels"].tolist()), iter(batch["predicted_positions"].tolist())
    for number, (row, example) in enumerate(zip(ids.tolist(), ROWS, strict=True)):
        source = tokenizer.encode(example["text"], max_length=18).ids
        target = [*tokenizer.encode(example["target"]).ids[1:-1][:5], tokenizer.sep_id]
        whole = source + target
        assert row == whole + [tokenizer.pad_id] * (width - len(whole))
        for place in range(len(source), len(whole)):
            # What stands at a place is asked for at the one before.
            assert next(positions) == number * width + place - 1
            assert next(labels) == whole[place]
    assert next(labels, None) is None and next(positions, None) is None
    assert task.weight(batch) == len(batch["labels"])


def test_prediction_has_the_source_alone(task: Any, tokenizer: ErnieTokenizer) -> None:
    batch = batch_of(task, labelled=False)
    assert set(batch) == {"document_ids", "source_lengths", "numbers"}
    assert batch["document_ids"][1].tolist()[:5] == tokenizer.encode(ROWS[1]["text"]).ids
    assert batch["source_lengths"].tolist() == [10, 5, 18]
    assert [task.is_cut(task.expand(row, False)[0]) for row in ROWS] == [False, False, True]


def test_answers_have_no_spaces_between_characters(task: Any, tokenizer: ErnieTokenizer) -> None:
    for text, written in (("在哪里？", "在哪里？"), ("今天 0 1好 b", "今天0 1好b")):
        ids = tokenizer.encode(text).ids[1:-1]
        assert task.answer(task.expand(ROWS[0], False), [ids]) == {"text": written}


def test_a_network_that_repeats_the_targets_scores_1(task: Any) -> None:
    items = [item for row in ROWS for item in task.expand(row, True)]
    results = [task.tokenizer.encode(row["target"]).ids[1:-1] for row in ROWS]
    assert task.score(items, results) == {"rouge_l": 1.0, "bleu": pytest.approx(1.0)}
    assert task.score(items, [[] for _ in items]) == {"rouge_l": 0.0, "bleu": 0.0}


def test_a_target_that_leaves_no_room_for_a_source_is_refused(make_task: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="Task.max_target_length: 14 leaves 2 of Data.max_length = 16"):
        make_task("text_generation", max_length=16, max_target_length=14)


def test_longest_common_subsequence_against_all_subsequences() -> None:
    def subsequences(text: list[int]) -> set[tuple[int, ...]]:
        return {tuple(t for i, t in enumerate(text) if mask >> i & 1) for mask in range(2 ** len(text))}

    rng = np.random.default_rng(0)
    for _ in range(50):
        left, right = (rng.integers(0, 3, rng.integers(0, 7)).tolist() for _ in range(2))
        common = subsequences(left) & subsequences(right)
        assert longest_common_subsequence(left, right) == max(map(len, common))


@pytest.mark.slow
def test_metrics_are_those_of_paddlenlp() -> None:
    from paddlenlp.metrics import BLEU, RougeL

    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 3, n).tolist() for n in rng.integers(5, 20, 60)]
    predictions, references = texts[:30], texts[30:]
    ours, bleu, rouge = GenerationScore(), BLEU(), RougeL(gamma=1.0)
    ours.update(predictions, references)
    for predicted, actual in zip(predictions, references, strict=True):
        bleu.add_inst(predicted, [actual])
        rouge.add_inst(predicted, [actual])
    assert ours.compute() == {"rouge_l": pytest.approx(rouge.score()), "bleu": pytest.approx(bleu.score())}
    assert GenerationScore().compute() == {"rouge_l": 0.0, "bleu": 0.0}
