from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.errors import UserError
from ppernie.tasks.base import IGNORED

LABELS = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
TEXT = "张三住在北京市。"
TAGS = ["B-PER", "I-PER", "O", "O", "B-LOC", "I-LOC", "I-LOC", "O"]
EXAMPLE = {"tokens": list(TEXT), "tags": TAGS, "where": "a.conll:1"}


@pytest.fixture
def task(make_task: Callable[..., Any]) -> Any:
    task = make_task("token_classification", max_length=12)
    task.prepare([EXAMPLE])
    return task


def perfect(items: list[Any], tags: list[str], width: int = 0) -> list[np.ndarray]:
    """Logits that give every token of an example its tag."""
    results = []
    for item in items:
        logits = np.zeros((max(len(item.encoding), width), len(LABELS)), dtype=np.float32)
        for position, word in enumerate(item.encoding.word_ids):
            if word is not None:
                logits[position, LABELS.index(tags[item.start + word])] = 5.0
        results.append(logits)
    return results


def test_labels_come_from_the_training_data(task: Any, make_task: Callable[..., Any]) -> None:
    assert task.options.labels == LABELS
    assert task.head() == {"num_labels": 5}
    for tags in (["O", "O"], ["B-PER", "I-PER"]):
        with pytest.raises(UserError, match="expected 'O' and at least one other"):
            make_task("token_classification").prepare([{"tokens": ["a", "b"], "tags": tags}])


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 20, 47])
def test_every_token_of_a_long_text_is_labelled_once(task: Any, length: int) -> None:
    tokens, tags = (list(TEXT) * 6)[:length], (TAGS * 6)[:length]
    items = task.expand({"tokens": tokens, "tags": tags}, True)
    assert all(len(item.encoding) <= 12 and len(item.label) == len(item.encoding) for item in items)
    labelled = Counter(
        item.start + item.encoding.word_ids[position]
        for item in items
        for position, label in enumerate(item.label)
        if label != IGNORED
    )
    assert labelled == Counter(range(length))
    assert task.answer(items, perfect(items, tags, 12))["tags"] == tags


def test_a_word_is_labelled_at_its_first_piece(make_task: Callable[..., Any]) -> None:
    task = make_task("token_classification", max_length=8, labels=LABELS, unit="word")
    tokens = ["北京市", "住", "张三", "大人物", "山", "水"]
    tags = ["B-LOC", "O", "B-PER", "I-PER", "O", "O"]
    items = task.expand({"tokens": tokens, "tags": tags}, True)
    assert items[0].label == [IGNORED, 0, IGNORED, IGNORED, 4, 1, IGNORED, IGNORED]
    assert sum(label != IGNORED for item in items for label in item.label) == len(tokens)
    assert task.answer(items, perfect(items, tags))["tags"] == tags


def test_tokens_without_an_id_are_outside(task: Any) -> None:
    tokens, tags = list("张三 住"), ["B-PER", "I-PER", "O", "O"]
    items = task.expand({"tokens": tokens, "tags": tags}, True)
    assert [label for label in items[0].label if label != IGNORED] == [1, 3, 4]
    assert task.answer(items, perfect(items, tags))["tags"] == tags
    (blank,) = task.expand({"tokens": [" ", "\u3000"], "tags": ["O", "O"]}, True)
    assert task.answer([blank], perfect([blank], ["O", "O"]))["tags"] == ["O", "O"]


def test_collate_pads_labels_and_counts_tokens(task: Any) -> None:
    items = [*task.expand(EXAMPLE, True), *task.expand({"tokens": ["张"], "tags": ["B-PER"]}, True)]
    batch = task.collate([task.encode(item, (0,)) for item in items])
    assert batch["labels"].shape == batch["input_ids"].shape == (2, 10)
    assert batch["labels"][1].tolist() == [IGNORED, 1, *[IGNORED] * 8]
    assert task.weight(batch) == 9.0


def test_the_loss_is_the_sum_over_labelled_tokens(task: Any) -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((2, 4, 5)).astype(np.float32)
    labels = np.asarray([[IGNORED, 1, 4, IGNORED], [IGNORED, 0, IGNORED, IGNORED]])
    likelihood = logits.astype(np.float64) - np.log(np.exp(logits.astype(np.float64)).sum(-1, keepdims=True))
    expected = -(likelihood[0, 1, 1] + likelihood[0, 2, 4] + likelihood[1, 1, 0])
    loss = task.loss(paddle.to_tensor(logits), {"labels": paddle.to_tensor(labels)})
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_entities_point_into_the_original_text(task: Any) -> None:
    text = " 张三 住在 北京市。今天，小明住在上海市 "
    tags = ["O"] * len(text)
    for start, end, kind in ((1, 3, "PER"), (7, 10, "LOC"), (14, 16, "PER"), (18, 21, "LOC")):
        tags[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    items = task.expand({"text": text, "where": "input:1"}, False)
    assert len(items) > 1
    answer = task.answer(items, perfect(items, tags))
    assert [(e["text"], e["type"], e["start"], e["end"]) for e in answer["entities"]] == [
        ("张三", "PER", 1, 3),
        ("北京市", "LOC", 7, 10),
        ("小明", "PER", 14, 16),
        ("上海市", "LOC", 18, 21),
    ]
    assert all(text[e["start"] : e["end"]] == e["text"] for e in answer["entities"])
    assert all(0.9 < e["score"] <= 1.0 for e in answer["entities"])


def test_words_between_spaces_keep_their_offsets(make_task: Callable[..., Any]) -> None:
    task = make_task("token_classification", labels=LABELS, unit="word")
    text = "abc  北京 \n c"
    items = task.expand({"text": text}, False)
    answer = task.answer(items, perfect(items, ["O", "B-LOC", "I-LOC"]))
    assert answer["tokens"] == ["abc", "北京", "c"]
    assert [(e["text"], e["start"], e["end"]) for e in answer["entities"]] == [("北京 \n c", 5, 11)]


def test_an_empty_text_has_no_entities(task: Any) -> None:
    items = task.expand({"text": ""}, False)
    assert task.answer(items, perfect(items, [])) == {"entities": [], "tokens": [], "tags": []}


def test_score_joins_the_windows_of_an_example(task: Any) -> None:
    examples = [EXAMPLE, {"tokens": list(TEXT) * 4, "tags": TAGS * 4}]
    groups = [task.expand(example, True) for example in examples]
    items = [item for group in groups for item in group]
    results = [logits for group, e in zip(groups, examples, strict=True) for logits in perfect(group, e["tags"], 12)]
    assert len(items) > 3
    assert task.score(items, results) == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    results[0][:, LABELS.index("O")] = 9.0
    assert task.score(items, results)["recall"] == pytest.approx(8 / 10)


def test_an_unknown_tag_is_named_with_its_place(task: Any) -> None:
    with pytest.raises(UserError, match=r"b\.conll:4: unknown label 'B-ORG'"):
        task.expand({"tokens": ["张"], "tags": ["B-ORG"], "where": "b.conll:4"}, True)
