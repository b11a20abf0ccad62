from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError

TEXT = "张三住在北京市，小明住在上海市。"


@pytest.fixture
def task(make_task: Callable[..., Any]) -> Any:
    return make_task("masked_language_modeling", max_length=32, top_k=3)


def item_of(task: Any, text: str = TEXT, labelled: bool = True) -> Any:
    (item,) = task.expand({"text": text, "where": "a.txt:1"}, labelled)
    return item


def test_masks_are_a_pure_function_of_seed_epoch_and_index(task: Any) -> None:
    item = item_of(task)
    keys = [(seed, epoch, index) for seed in range(3) for epoch in range(3) for index in range(3)]
    np.random.seed(0)
    first = [task.encode(item, key) for key in keys]
    np.random.seed(1)
    again = [task.encode(item, key) for key in reversed(keys)][::-1]
    for left, right in zip(first, again, strict=True):
        for name in left:
            np.testing.assert_array_equal(left[name], right[name])
    assert len({tuple(features["positions"]) for features in first}) > 20


def test_labels_are_the_original_ids_and_other_tokens_stay(task: Any) -> None:
    item = item_of(task)
    original = np.asarray(task.tokenizer.encode(TEXT, max_length=32).ids)
    for index in range(50):
        features = task.encode(item, (0, 0, index))
        positions = features["positions"]
        np.testing.assert_array_equal(features["labels"], original[positions])
        others = np.setdiff1d(np.arange(len(original)), positions)
        np.testing.assert_array_equal(np.asarray(features["input_ids"])[others], original[others])
        assert len(set(positions)) == len(positions) == round(0.15 * len(TEXT))
        assert positions.min() >= 1 and positions.max() <= len(original) - 2


def test_rates_on_a_large_sample(make_task: Callable[..., Any], tokenizer: ErnieTokenizer) -> None:
    task = make_task("masked_language_modeling", max_length=512)
    item = item_of(task, "北京" * 200)
    original = np.asarray(task.encoding(item).ids)
    chosen = masked = kept = random = 0
    swapped: set[int] = set()
    for index in range(300):
        features = task.encode(item, (0, 0, index))
        new = np.asarray(features["input_ids"])[features["positions"]]
        old = original[features["positions"]]
        chosen += len(new)
        masked += int((new == tokenizer.mask_id).sum())
        kept += int((new == old).sum())
        random += int(((new != old) & (new != tokenizer.mask_id)).sum())
        swapped |= set(new.tolist())
    assert chosen / (300 * 400) == pytest.approx(0.15, abs=1e-9)
    # Four standard deviations of 18,000 draws.
    assert masked / chosen == pytest.approx(0.8, abs=0.012)
    assert kept / chosen == pytest.approx(0.1, abs=0.009)
    assert random / chosen == pytest.approx(0.1, abs=0.009)
    assert len(swapped) == tokenizer.vocab_size


@pytest.mark.parametrize(("text", "count"), [("", 0), (" ", 0), ("京", 1), ("北京", 1), ("北京" * 10, 3)])
def test_short_texts_have_a_mask_and_empty_ones_none(task: Any, text: str, count: int) -> None:
    features = task.encode(item_of(task, text), (0, 0, 0))
    assert len(features["positions"]) == len(features["labels"]) == count
    assert task.weight(task.collate([features])) == count


def test_positions_point_into_the_flattened_batch(task: Any) -> None:
    features = [task.encode(item_of(task, text), (0, 0, k)) for k, text in enumerate([TEXT, "北京", "", "一心一意"])]
    batch = task.collate(features)
    flat = batch["input_ids"].flatten()
    chosen = np.concatenate([np.asarray(f["input_ids"])[f["positions"]] for f in features])
    np.testing.assert_array_equal(flat[batch["masked_positions"]], chosen)
    assert batch["row_sizes"].tolist() == [len(f["labels"]) for f in features]
    assert task.weight(batch) == len(batch["labels"]) == batch["row_sizes"].sum()


def test_the_loss_is_the_sum_over_masks_and_the_score_its_mean(task: Any) -> None:
    items = [item_of(task, text) for text in (TEXT, "北京", "")]
    batch = task.collate([task.encode(item, (0, 0, k)) for k, item in enumerate(items)])
    count = len(batch["labels"])
    logits = np.random.default_rng(0).standard_normal((count, task.tokenizer.vocab_size)).astype(np.float32)
    logits[0, batch["labels"][0]] = 20.0
    wide = logits.astype(np.float64)
    likelihood = (wide - np.log(np.exp(wide).sum(-1, keepdims=True)))[np.arange(count), batch["labels"]]
    loss = float(task.loss(paddle.to_tensor(logits), {"labels": paddle.to_tensor(batch["labels"])}))
    assert loss == pytest.approx(-likelihood.sum(), rel=1e-6)
    results = task.reduce(logits, batch)
    assert [size for _, _, size in results] == batch["row_sizes"].tolist()
    scores = task.score(items, results)
    assert scores["perplexity"] == pytest.approx(np.exp(loss / count), rel=1e-6)
    assert scores["accuracy"] == pytest.approx((logits.argmax(-1) == batch["labels"]).mean())


def test_texts_without_a_token_can_be_scored(task: Any) -> None:
    items = [item_of(task, "")]
    batch = task.collate([task.encode(items[0], (0, 0, 0))])
    empty = np.zeros((0, task.tokenizer.vocab_size), dtype=np.float32)
    assert all(np.isfinite(value) for value in task.score(items, task.reduce(empty, batch)).values())


def test_every_mask_of_a_text_is_filled(task: Any) -> None:
    item = item_of(task, "北[MASK]市[MASK]", labelled=False)
    batch = task.collate([task.encode(item, (0, 0, 0))])
    assert "labels" not in batch
    logits = np.zeros((1, 6, task.tokenizer.vocab_size), dtype=np.float32)
    logits[0, 2, task.tokenizer.token_to_id("京")] = 9.0
    logits[0, 4, task.tokenizer.token_to_id("跑")] = 8.0
    masks = task.answer([item], task.reduce(logits, batch))["masks"]
    assert [mask[0]["token"] for mask in masks] == ["京", "跑"]
    assert [len(mask) for mask in masks] == [3, 3]
    assert all(mask[0]["score"] >= mask[1]["score"] >= mask[2]["score"] > 0 for mask in masks)
    assert task.answer([item_of(task, "北京", labelled=False)], [logits[0]]) == {"masks": []}


def test_the_network_projects_the_masked_positions_alone(task: Any, make_model: Callable[..., Any]) -> None:
    model = make_model("ErnieForMaskedLM", **task.head())
    model.eval()
    batch = task.collate([task.encode(item_of(task, text), (0, 0, 0)) for text in (TEXT, "北京")])
    tensors = {name: paddle.to_tensor(array) for name, array in batch.items()}
    whole = model(tensors["input_ids"], tensors["token_type_ids"]).numpy()
    some = model(tensors["input_ids"], tensors["token_type_ids"], masked_positions=tensors["masked_positions"]).numpy()
    np.testing.assert_allclose(some, whole.reshape(-1, whole.shape[-1])[batch["masked_positions"]], atol=1e-5)


def test_a_missing_text_is_named_with_its_place(task: Any) -> None:
    with pytest.raises(UserError, match=r"a\.txt:4: the field 'text' is missing"):
        task.expand({"line": "x", "where": "a.txt:4"}, True)
