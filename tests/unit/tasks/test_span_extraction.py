from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.errors import UserError

CONTEXT = "张三住在北京市，小明住在上海市。李四在广州工作，王小明在武汉市学习。"
QUESTION = "小明住在哪里？"


def example(answer: str = "上海市", context: str = CONTEXT, **changes: Any) -> dict[str, Any]:
    answers = [{"text": answer, "start": context.find(answer)}] if answer else []
    return {"id": "1", "question": QUESTION, "context": context, "answers": answers, "where": "a.json:1"} | changes


@pytest.fixture
def task(make_task: Callable[..., Any]) -> Any:
    return make_task("span_extraction", max_length=24, doc_stride=5, max_answer_length=6)


def pointing(item: Any, start: int, end: int, score: float = 5.0) -> np.ndarray:
    """Logits that choose the tokens ``start`` to ``end``, both included."""
    logits = np.zeros((len(item.encoding), 2), dtype=np.float32)
    logits[start, 0] = logits[end, 1] = score
    return logits


def test_windows_cover_the_context_and_say_where_the_answer_lies(task: Any) -> None:
    items = task.expand(example(), True)
    assert len(items) > 2
    covered = {
        offset
        for item in items
        for (first, last), side in zip(item.encoding.offsets, item.encoding.sequence_ids, strict=True)
        if side == 1
        for offset in range(first, last)
    }
    assert covered == set(range(len(CONTEXT)))
    for item in items:
        assert len(item.encoding) <= 24
        first, last = item.label
        text = CONTEXT[item.encoding.offsets[first][0] : item.encoding.offsets[last][1]]
        assert text == ("" if item.label == [0, 0] else "上海市")
    assert any(item.label != [0, 0] for item in items)


def test_an_answer_that_a_window_cuts_is_not_in_it(task: Any) -> None:
    answer = CONTEXT[4:30]
    assert all(item.label == [0, 0] for item in task.expand(example(answer), True))


def test_unanswerable_and_unlocated_questions_point_at_the_first_token(task: Any) -> None:
    for unlocated in (example(""), example(answers=[{"text": "台北", "start": -1}])):
        assert all(item.label == [0, 0] for item in task.expand(unlocated, True))


def test_an_answer_inside_a_token_takes_the_whole_token(task: Any) -> None:
    context = "abc北京123"
    (item,) = task.expand(example("b", context), True)
    assert item.label[0] <= item.label[1]
    first, last = item.label
    assert "b" in context[item.encoding.offsets[first][0] : item.encoding.offsets[last][1]]


def test_the_answer_is_the_best_span_of_all_windows(task: Any) -> None:
    items = task.expand(example(), True)
    results = [
        pointing(item, *item.label, 7.0) if item.label != [0, 0] else pointing(item, 10, 11, 3.0) for item in items
    ]
    found = task.answer(items, results)
    assert (found["answer"], found["start"], found["end"]) == ("上海市", 12, 15)
    assert found["score"] == pytest.approx(14.0)
    assert task.score(items, results) == {"f1": 1.0, "exact_match": 1.0}


def test_answers_lie_in_the_context_run_forwards_and_are_not_too_long(task: Any) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        items = task.expand(example(), True)
        results = [rng.standard_normal((24, 2)).astype(np.float32) for _ in items]
        found = task.answer(items, results)
        assert 0 <= found["start"] < found["end"] <= len(CONTEXT)
        assert found["end"] - found["start"] <= 6
        assert found["answer"] == CONTEXT[found["start"] : found["end"]]


def test_the_best_span_equals_a_search_over_all_pairs(task: Any) -> None:
    (item,) = task.expand(example(context=CONTEXT[:12]), False)
    logits = np.random.default_rng(1).standard_normal((24, 2)).astype(np.float32)
    inside = [i for i, side in enumerate(item.encoding.sequence_ids) if side == 1]
    pairs = [(i, j) for i in inside for j in inside if i <= j < i + 6]
    start, end = max(pairs, key=lambda pair: logits[pair[0], 0] + logits[pair[1], 1])
    found = task.answer([item], [logits])
    assert (found["start"], found["end"]) == (item.encoding.offsets[start][0], item.encoding.offsets[end][1])


def test_the_loss_is_the_mean_of_both_ends(task: Any) -> None:
    logits = np.random.default_rng(0).standard_normal((2, 5, 2)).astype(np.float32)
    labels = np.asarray([[1, 3], [0, 0]])
    wide = logits.astype(np.float64)
    likelihood = wide - np.log(np.exp(wide).sum(1, keepdims=True))
    expected = -sum(likelihood[row, labels[row, side], side] for row in range(2) for side in range(2)) / 2
    loss = task.loss(paddle.to_tensor(logits), {"labels": paddle.to_tensor(labels)})
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_collate(task: Any) -> None:
    items = task.expand(example(), True)
    batch = task.collate([task.encode(item, (0,)) for item in items])
    assert batch["labels"].tolist() == [item.label for item in items]
    assert batch["input_ids"].shape == (len(items), 24)
    assert task.weight(batch) == len(items)


def test_score_counts_examples_not_windows(task: Any) -> None:
    examples = [example(), example("北京市", "张三住在北京市", id="2"), example("", "张三住在北京市", id="3")]
    groups = [task.expand(e, True) for e in examples]
    items = [item for group in groups for item in group]
    results = [pointing(item, *item.label, 9.0 if any(item.label) else 0.0) for item in items]
    assert task.score(items, results)["exact_match"] == pytest.approx(2 / 3)


def test_an_empty_context_has_no_answer(task: Any) -> None:
    items = task.expand(example(context="", answers=[]), False)
    found = task.answer(items, [np.zeros((24, 2), dtype=np.float32) for _ in items])
    assert (found["answer"], found["start"], found["end"]) == ("", 0, 0)
    json.dumps(found, allow_nan=False)


def test_long_questions_are_cut_and_say_so(make_task: Callable[..., Any]) -> None:
    task = make_task("span_extraction", max_length=24, doc_stride=2, max_question_length=4)
    (item, *_) = task.expand(example(), False)
    assert item.encoding.ids[1:6] == task.tokenizer.encode(QUESTION[:4]).ids[1:6]
    assert task.is_cut(item)


def test_missing_fields_and_too_little_room_are_named_with_their_place(
    task: Any, make_task: Callable[..., Any]
) -> None:
    with pytest.raises(UserError, match=r"b\.json:3: the field 'answers'"):
        task.expand({"question": "谁", "context": "张三", "where": "b.json:3"}, True)
    with pytest.raises(UserError, match=r"a\.json:1: .*stride"):
        make_task("span_extraction", max_length=16, doc_stride=12).expand(example(), True)
