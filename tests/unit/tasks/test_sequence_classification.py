from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.errors import UserError
from ppernie.tasks.labels import collect_labels

EXAMPLES = [
    {"text": "北京", "label": "地名", "where": "a.tsv:1"},
    {"text": "打扫", "text_pair": "学习", "label": "动词", "where": "a.tsv:2"},
    {"text": "一心一意", "label": "成语", "where": "a.tsv:3"},
]
LOGITS = np.asarray([[0.1, 2.0, -1.0], [3.0, 0.0, 0.5], [-0.5, 1.5, 1.0]], dtype=np.float32)


@pytest.fixture
def task(make_task: Callable[..., Any]) -> Any:
    task = make_task("sequence_classification")
    task.prepare(EXAMPLES)
    return task


def items_of(task: Any) -> list[Any]:
    return [item for example in EXAMPLES for item in task.expand(example, True)]


def test_labels_come_from_the_training_data(task: Any) -> None:
    assert task.options.labels == ["动词", "地名", "成语"]
    assert task.head() == {"num_labels": 3}
    assert [item.label for item in items_of(task)] == [1, 0, 2]


def test_given_labels_keep_their_order(make_task: Callable[..., Any]) -> None:
    task = make_task("sequence_classification", labels=["成语", "地名", "动词"])
    task.prepare(EXAMPLES)
    assert [item.label for item in items_of(task)] == [1, 2, 0]


@pytest.mark.parametrize(
    ("found", "ordered"),
    [
        (["10", "9", "-1", "9"], ["-1", "9", "10"]),
        (["10", "9", "b"], ["10", "9", "b"]),
        (["1", "01", "001", "0"], ["0", "001", "01", "1"]),
        (["²", "1"], ["1", "²"]),
        (["--1", "1"], ["--1", "1"]),
    ],
)
def test_labels_have_one_order_whatever_they_look_like(found: list[str], ordered: list[str]) -> None:
    assert collect_labels(found) == collect_labels(reversed(found)) == ordered


def test_a_batch_is_padded_and_pairs_have_segments(task: Any) -> None:
    batch = task.collate([task.encode(item, (0,)) for item in items_of(task)])
    ids = [task.tokenizer.encode("北京").ids, task.tokenizer.encode("打扫", "学习").ids]
    assert batch["input_ids"].shape == (3, 7)
    assert batch["input_ids"].dtype == batch["labels"].dtype == np.int64
    assert batch["input_ids"][0].tolist() == ids[0] + [task.tokenizer.pad_id] * 3
    assert batch["input_ids"][1].tolist() == ids[1]
    assert batch["token_type_ids"][1].tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert batch["labels"].tolist() == [1, 0, 2]
    assert task.weight(batch) == 3.0


def test_long_texts_are_cut_and_say_so(task: Any) -> None:
    (long,), (short,) = (task.expand({"text": text}, False) for text in ("北京" * 40, "北京"))
    assert len(task.encode(long, (0,))["input_ids"]) == 16
    assert task.is_cut(long) and not task.is_cut(short)
    assert "labels" not in task.collate([task.encode(long, (0,))])


def test_the_loss_is_the_sum_of_cross_entropies(task: Any) -> None:
    shifted = LOGITS.astype(np.float64)
    likelihood = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    loss = task.loss(paddle.to_tensor(LOGITS), {"labels": paddle.to_tensor([1, 0, 2])})
    assert float(loss) == pytest.approx(-likelihood[[0, 1, 2], [1, 0, 2]].sum(), rel=1e-6)


def test_score_and_answer(task: Any) -> None:
    items = items_of(task)
    scores = task.score(items, task.reduce(LOGITS, {}))
    assert tuple(scores) == task.metric_names
    assert scores["accuracy"] == pytest.approx(2 / 3)
    answer = task.answer(items[:1], [LOGITS[0]])
    assert answer["label"] == "地名"
    assert answer["score"] == max(answer["scores"].values())
    assert list(answer["scores"]) == task.options.labels
    assert sum(answer["scores"].values()) == pytest.approx(1.0)


def test_an_unknown_label_is_named_with_its_place(task: Any) -> None:
    with pytest.raises(UserError, match=r"b\.tsv:7: unknown label '一动词', did you mean '动词'\? .* 动词, 地名, 成语"):
        task.expand({"text": "跑", "label": "一动词", "where": "b.tsv:7"}, True)
    with pytest.raises(UserError, match=r"unknown label 'x'\. "):
        task.expand({"text": "跑", "label": "x", "where": "b.tsv:7"}, True)


def test_missing_fields_and_single_labels(task: Any, make_task: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"b\.tsv:7: the field 'text' and 'label' is missing; found: word"):
        task.expand({"word": "跑", "where": "b.tsv:7"}, True)
    fresh = make_task("sequence_classification")
    with pytest.raises(UserError, match="single label"):
        fresh.prepare(EXAMPLES[:1] * 3)
    with pytest.raises(UserError, match=r"a\.tsv:9: the field 'label'"):
        fresh.prepare([*EXAMPLES, {"text": "跑", "where": "a.tsv:9"}])
