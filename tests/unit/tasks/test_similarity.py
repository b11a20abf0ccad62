from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.errors import UserError

EXAMPLES = [
    {"text": "北京市", "text_pair": "北京", "label": 1, "where": "a.tsv:1"},
    {"text": "跑步", "text_pair": "一心一意学习", "label": 0, "where": "a.tsv:2"},
]


def batch_of(task: Any, labelled: bool = True) -> tuple[list[Any], dict[str, np.ndarray]]:
    items = [item for example in EXAMPLES for item in task.expand(example, labelled)]
    return items, task.collate([task.encode(item, (0,)) for item in items])


def test_a_cross_encoder_sees_pairs(make_task: Callable[..., Any]) -> None:
    task = make_task("cross_similarity")
    _, batch = batch_of(task)
    assert batch["input_ids"][0, :8].tolist() == task.tokenizer.encode("北京市", "北京").ids
    assert batch["labels"].dtype == np.float32
    assert batch["labels"].tolist() == [1.0, 0.0]
    assert task.weight(batch) == 2.0
    assert task.head() == {"num_labels": 1}
    assert "labels" not in batch_of(task, labelled=False)[1]


def test_a_dual_encoder_sees_each_text_alone(make_task: Callable[..., Any]) -> None:
    task = make_task("dual_similarity")
    _, batch = batch_of(task)
    assert set(batch) == {"input_ids", "pair_input_ids", "labels"}
    assert batch["input_ids"].shape == batch["pair_input_ids"].shape == (2, 8)
    assert batch["pair_input_ids"][1].tolist() == task.tokenizer.encode("一心一意学习").ids
    assert batch["input_ids"][1, :4].tolist() == task.tokenizer.encode("跑步").ids
    assert task.id_names == ("input_ids", "pair_input_ids")


def test_the_cross_encoder_learns_by_cross_entropy(make_task: Callable[..., Any]) -> None:
    task = make_task("cross_similarity", max_score=5.0)
    logits, labels = np.asarray([[0.7], [-1.2]]), np.asarray([0.4, 1.0])
    p = 1 / (1 + np.exp(-logits[:, 0]))
    expected = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).sum()
    loss = task.loss(
        paddle.to_tensor(logits.astype(np.float32)), {"labels": paddle.to_tensor(labels.astype(np.float32))}
    )
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert task.reduce(logits, {}) == pytest.approx(p.tolist())


def test_the_dual_encoder_learns_by_squared_error(make_task: Callable[..., Any]) -> None:
    task = make_task("dual_similarity")
    outputs = paddle.to_tensor([0.5, -0.25])
    loss = task.loss(outputs, {"labels": paddle.to_tensor([1.0, 0.0])})
    assert float(loss) == pytest.approx(0.25 + 0.0625)
    assert task.reduce(outputs.numpy(), {}) == [0.5, -0.25]


def test_the_dual_network_gives_the_cosine_whatever_the_padding(
    make_task: Callable[..., Any], make_model: Callable[..., Any]
) -> None:
    task = make_task("dual_similarity")
    model = make_model("ErnieDualEncoder", **task.head())
    model.eval()
    _, batch = batch_of(task)
    together = model(*(paddle.to_tensor(batch[name]) for name in task.input_names)).numpy()
    (item,) = task.expand({**EXAMPLES[0], "text_pair": EXAMPLES[0]["text"]}, True)
    same = task.collate([task.encode(item, (0,))])
    assert float(model(*(paddle.to_tensor(same[name]) for name in task.input_names))) == pytest.approx(1.0, abs=1e-5)
    (first,) = task.expand(EXAMPLES[0], True)
    alone = task.collate([task.encode(first, (0,))])
    assert float(model(*(paddle.to_tensor(alone[name]) for name in task.input_names))) == pytest.approx(
        float(together[0]), abs=1e-5
    )


@pytest.mark.parametrize("name", ["cross_similarity", "dual_similarity"])
def test_two_valued_labels_are_scored_as_classes(make_task: Callable[..., Any], name: str) -> None:
    task = make_task(name)
    items, _ = batch_of(task)
    assert task.metric_names == ("accuracy", "macro_f1")
    assert task.score(items, [0.9, 0.1]) == {"accuracy": 1.0, "macro_f1": 1.0}
    assert task.score(items, [0.4, 0.1])["accuracy"] == 0.5
    assert task.answer(items[:1], [0.5]) == {"score": 0.5, "similar": True}
    assert task.answer(items[:1], [0.49])["similar"] is False


@pytest.mark.parametrize("name", ["cross_similarity", "dual_similarity"])
def test_grades_are_scored_by_correlation(make_task: Callable[..., Any], name: str) -> None:
    task = make_task(name, max_score=5.0)
    items = [
        item for k in range(6) for item in task.expand({"text": "北", "text_pair": "京", "label": min(k, 5)}, True)
    ]
    assert [item.label for item in items] == [k / 5 for k in range(6)]
    assert task.metric_names == ("spearman", "pearson")
    assert task.score(items, [k**3 for k in range(6)])["spearman"] == pytest.approx(1.0)
    assert task.answer(items[:1], [0.5]) == {"score": 2.5}


@pytest.mark.parametrize("name", ["cross_similarity", "dual_similarity"])
def test_labels_outside_the_scale_and_missing_pairs(make_task: Callable[..., Any], name: str) -> None:
    task = make_task(name, max_score=5.0)
    for label in (-0.1, 5.1, float("nan")):
        with pytest.raises(UserError, match=r"a\.tsv:1: label .* outside 0\.\.5 \(Task\.max_score\)"):
            task.expand(EXAMPLES[0] | {"label": label}, True)
    with pytest.raises(UserError, match=r"a\.tsv:3: the field 'text_pair'"):
        task.expand({"text": "北", "label": 1, "where": "a.tsv:3"}, True)


@pytest.mark.parametrize("name", ["cross_similarity", "dual_similarity"])
def test_long_texts_say_that_they_are_cut(make_task: Callable[..., Any], name: str) -> None:
    task = make_task(name)
    (long,) = task.expand({"text": "山", "text_pair": "水" * 20}, False)
    (short,) = task.expand({"text": "山", "text_pair": "水"}, False)
    assert task.is_cut(long) and not task.is_cut(short)
    assert max(len(row) for row in task.encode(long, (0,)).values()) == 16
