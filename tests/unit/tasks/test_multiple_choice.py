from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.errors import UserError

EXAMPLE = {"text": "首都是#。", "choices": ["北京市", "上海", "长江"], "label": 0, "where": "a.json:1"}


@pytest.fixture
def task(make_task: Callable[..., Any]) -> Any:
    return make_task("multiple_choice", choices=3)


@pytest.fixture
def blanks(make_task: Callable[..., Any]) -> Any:
    return make_task("multiple_choice", choices=3, blank="#")


def test_each_choice_is_a_pair_with_the_text(task: Any) -> None:
    items = [*task.expand(EXAMPLE, True), *task.expand({**EXAMPLE, "text": "长江", "label": 2}, True)]
    batch = task.collate([task.encode(item, (0,)) for item in items])
    width = len(task.tokenizer.encode(EXAMPLE["text"], "北京市"))
    assert batch["input_ids"].shape == batch["token_type_ids"].shape == (2, 3, width)
    assert batch["input_ids"][0, 0].tolist() == task.tokenizer.encode(EXAMPLE["text"], "北京市").ids
    assert batch["token_type_ids"][0, 0].sum() == 4
    assert batch["labels"].tolist() == [0, 2]
    assert task.weight(batch) == 2.0


def test_a_choice_fills_the_blank(blanks: Any) -> None:
    (item,) = blanks.expand(EXAMPLE, True)
    rows = blanks.encode(item, (0,))["input_ids"]
    assert rows == [blanks.tokenizer.encode(f"首都是{choice}。").ids for choice in EXAMPLE["choices"]]


@pytest.mark.parametrize(("before", "after"), [(40, 40), (0, 40), (40, 0), (3, 40), (40, 3), (2, 2)])
def test_the_blank_is_kept_in_a_text_that_does_not_fit(blanks: Any, before: int, after: int) -> None:
    text = "山" * before + "#" + "水" * after
    (item,) = blanks.expand({**EXAMPLE, "text": text}, True)
    for row, choice in zip(blanks.encode(item, (0,))["input_ids"], EXAMPLE["choices"], strict=True):
        shown = blanks.tokenizer.decode(row).replace(" ", "")
        assert choice in shown
        assert len(shown) == min(before + len(choice) + after, blanks.max_length - 2)
        assert ("山" in shown, "水" in shown) == (before > 0, after > 0)


def test_the_loss_is_the_sum_of_cross_entropies(task: Any) -> None:
    logits = np.asarray([[0.5, 1.5, -1.0], [2.0, 0.0, 0.0]])
    likelihood = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    loss = task.loss(paddle.to_tensor(logits.astype(np.float32)), {"labels": paddle.to_tensor([1, 2])})
    assert float(loss) == pytest.approx(-(likelihood[0, 1] + likelihood[1, 2]), rel=1e-6)


def test_the_network_scores_every_choice_alone(task: Any, make_model: Callable[..., Any]) -> None:
    model = make_model("ErnieForMultipleChoice", **task.head())
    model.eval()
    (item,) = task.expand(EXAMPLE, True)
    (turned,) = task.expand({**EXAMPLE, "choices": EXAMPLE["choices"][::-1]}, True)
    scores = [
        model(*(paddle.to_tensor(task.collate([task.encode(i, (0,))])[name]) for name in task.input_names)).numpy()[0]
        for i in (item, turned)
    ]
    np.testing.assert_allclose(scores[0], scores[1][::-1], rtol=1e-5, atol=1e-7)


def test_score_and_answer(task: Any) -> None:
    items = [*task.expand(EXAMPLE, True), *task.expand({**EXAMPLE, "label": 1}, True)]
    logits = np.asarray([[3.0, 1.0, 0.0], [3.0, 1.0, 0.0]], dtype=np.float32)
    assert task.score(items, task.reduce(logits, {})) == {"accuracy": 0.5}
    answer = task.answer(items[:1], [logits[0]])
    assert (answer["choice"], answer["text"]) == (0, "北京市")
    assert sum(answer["scores"]) == pytest.approx(1.0)
    assert answer["score"] == answer["scores"][0]


def test_long_inputs_say_that_they_are_cut(task: Any) -> None:
    (long,), (short,) = (task.expand({**EXAMPLE, "text": text}, True) for text in ("山" * 30, "山"))
    assert task.is_cut(long) and not task.is_cut(short)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choices": ["北京", "上海"]}, r"a\.json:1: 2 choices, Task\.choices says 3"),
        ({"text": "首都是"}, r"a\.json:1: the text holds the blank '#' 0 times"),
        ({"text": "#是#"}, r"a\.json:1: the text holds the blank '#' 2 times"),
        ({"label": 3}, r"a\.json:1: label 3 is not an index"),
        ({"label": -1}, r"a\.json:1: label -1 is not an index"),
    ],
)
def test_faulty_examples_are_named_with_their_place(blanks: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        blanks.expand(EXAMPLE | change, True)
