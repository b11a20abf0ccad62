"""The network for pretraining: who sees whom, what is sampled, and where gradients go."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import paddle
import pytest

from model_zoo.ernie_gram.pretraining.data import choose_units, collate, mask_tokens, mask_units, query_tokens
from model_zoo.ernie_gram.pretraining.modeling import sample, two_block_mask
from model_zoo.ernie_gram.pretraining.objectives import is_original, losses
from model_zoo.ernie_gram.pretraining.segmentation import segment
from ppernie.data.corpus.lexicon import Lexicon
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.nn.masks import padding_mask
from ppernie.nn.relative_positions import buckets

Batch = dict[str, Any]
LABELS = ("tokens", "identities")


@pytest.fixture(params=[0, 33])
def rel_pos_size(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def make_batch(letters: ErnieTokenizer, make_lexicon: Callable[..., Lexicon]) -> Callable[..., Batch]:
    """A batch of texts of 20, 13 and 5 tokens, padded, as tensors."""

    def make(prediction: str = "comprehensive", generator: bool = False) -> Batch:
        rng = np.random.default_rng(0)
        lexicon = make_lexicon("ab", "bc", "ca", "dd", "ac", "ba", "abc", "cab", "bca", "ddd")
        rows = []
        for length in (20, 13, 5):
            tokens = rng.integers(5, 9, length)
            units = segment(tokens, np.zeros(length, bool), lexicon)
            chosen = choose_units(len(units.starts), 0.4, rng)
            row = (mask_tokens if prediction == "contiguous" else mask_units)(tokens, units, chosen, letters)
            if prediction == "comprehensive":
                row |= query_tokens(tokens, units, chosen)
            if generator:
                row["draws"] = rng.random(len(chosen), dtype=np.float32)
            rows.append(row)
        return {name: paddle.to_tensor(array) for name, array in collate(rows, letters).items()}

    return make


def run(model: Any, batch: Batch) -> dict[str, paddle.Tensor]:
    return model(**{name: value for name, value in batch.items() if name not in LABELS})


def watch(model: Any) -> list[np.ndarray]:
    """What the encoder makes of each batch from here on."""
    seen: list[np.ndarray] = []
    model.backbone.encoder.register_forward_post_hook(lambda _, __, x: seen.append(x.numpy()))
    return seen


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("prediction", "generator"),
    [("contiguous", False), ("explicit", False), ("explicit", True), ("comprehensive", False), ("comprehensive", True)],
)
def test_every_parameter_learns(
    prediction: str, generator: bool, dtype: str, rel_pos_size: int, gram: SimpleNamespace, make_batch: Any
) -> None:
    model = gram.build(prediction, generator, rel_pos_size)
    batch = make_batch(prediction, generator)
    with paddle.amp.auto_cast(dtype != "float32", dtype="bfloat16"):
        sums = losses(run(model, batch), batch, 0)
    assert sums.keys() == {
        *(["tokens"] if prediction != "explicit" else []),
        *(["identities"] if prediction != "contiguous" else []),
        *(["generator", "original"] if generator else []),
    }
    paddle.add_n(list(sums.values())).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    # The pooler is not pretrained here; the paper has no objective over sentences.
    assert idle == ["backbone.pooler.weight", "backbone.pooler.bias"]


def test_the_two_block_mask() -> None:
    ids = paddle.to_tensor([[3, 4, 5, 6], [3, 4, 0, 0]])
    mask = two_block_mask(padding_mask(ids, 0), 2).numpy()
    assert mask.shape == (2, 1, 6, 6)
    for row, query, key in np.ndindex(2, 6, 6):
        seen = ids[row, key] != 0 if key < 4 else query == key
        assert mask[row, 0, query, key] == (0 if seen else -10000), (row, query, key)


def left_of(batch: Batch) -> tuple[Batch, int]:
    """The batch without its queries, and the texts' length."""
    length = batch["input_ids"].shape[1] - batch["query_ids"].shape[1]
    alone = {name: value for name, value in batch.items() if name not in ("query_ids", "query_positions")}
    return alone | {name: alone[name][:, :length] for name in ("input_ids", "position_ids")}, length


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("training", [False, True])
def test_the_text_is_as_without_queries(
    dtype: str, tolerance: float, training: bool, rel_pos_size: int, gram: SimpleNamespace, make_batch: Any
) -> None:
    """Up to rounding: with other numbers of rows and keys, matrix products sum in other blocks. With as many of both,
    it is to the bit: see the next test."""
    paddle.set_default_dtype(dtype)
    try:
        model = gram.build(rel_pos_size=rel_pos_size)
        seen = watch(model)
        batch = make_batch()
        alone, length = left_of(batch)
        with paddle.set_grad_enabled(training):
            run(model, batch)
            model.token_head = None
            run(model, alone)
    finally:
        paddle.set_default_dtype("float32")
    assert np.abs(seen[0][:, :length] - seen[1]).max() < tolerance * np.abs(seen[1]).max()


@pytest.mark.parametrize("right", ["other queries", "padding"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("training", [False, True])
def test_the_text_does_not_see_the_queries(
    training: bool, dtype: str, right: str, rel_pos_size: int, gram: SimpleNamespace, make_batch: Any
) -> None:
    """To the bit, whatever stands in the right block, or nothing."""
    model = gram.build(rel_pos_size=rel_pos_size)
    seen = watch(model)
    batch = make_batch()
    _, length = left_of(batch)
    others = {name: batch[name].clone() for name in ("input_ids", "position_ids", "query_ids")}
    if right == "padding":
        for name, value in (("input_ids", 0), ("position_ids", 0)):
            others[name][:, length:] = value
        others["query_ids"][:] = 0
    else:
        others["query_ids"] = 3 - others["query_ids"].clip(0, 3)
        others["position_ids"][:, length:] = 40
    with paddle.set_grad_enabled(training), paddle.amp.auto_cast(dtype != "float32", dtype="bfloat16"):
        run(model, batch)
        run(model, batch | others)
    np.testing.assert_array_equal(seen[0][:, :length], seen[1][:, :length])
    assert np.abs(seen[0][:, length:] - seen[1][:, length:]).max() > 1e-2


def test_a_query_does_not_see_another(rel_pos_size: int, gram: SimpleNamespace, make_batch: Any) -> None:
    model = gram.build(rel_pos_size=rel_pos_size)
    seen = watch(model)
    batch = make_batch()
    run(model, batch)
    changed = batch["query_ids"].clone()
    changed[0, 1] = 4 - changed[0, 1]
    run(model, batch | {"query_ids": changed})
    place = batch["input_ids"].shape[1] - batch["query_ids"].shape[1] + 1
    differs = np.abs(seen[0] - seen[1]).max(-1)
    assert differs[0, place] > 1e-3
    differs[0, place] = 0
    assert (differs == 0).all()


def test_padding_changes_nothing(rel_pos_size: int, gram: SimpleNamespace, make_batch: Any) -> None:
    """The shortest text of a batch, alone and beside longer ones."""
    model = gram.build(generator=True, rel_pos_size=rel_pos_size)
    batch = make_batch(generator=True)
    together = run(model, batch)
    queries = batch["query_ids"].shape[1]
    length = batch["input_ids"].shape[1] - queries
    last = {name: batch[name][2:] for name in ("input_ids", "position_ids", "query_ids")}
    size, asked = int((last["input_ids"][0, :length] != 0).sum()), int((last["query_ids"] > 0).sum())
    kept = [*range(size), *range(length, length + asked)]
    last = {name: value[:, kept] if name != "query_ids" else value[:, :asked] for name, value in last.items()}
    own = batch["masked_positions"] >= 2 * length
    last |= {
        "masked_positions": batch["masked_positions"][own] - 2 * length,
        "query_positions": paddle.arange(asked),
        "draws": batch["draws"][own],
    }
    alone = run(model, last)
    units = len(last["masked_positions"])
    for name in ("identities", "generator", "sampled"):
        np.testing.assert_allclose(alone[name].numpy(), together[name].numpy()[-units:], atol=1e-5)
    np.testing.assert_allclose(alone["tokens"].numpy(), together["tokens"].numpy()[-asked:], atol=1e-5)
    np.testing.assert_allclose(alone["original"].numpy()[0], together["original"].numpy()[2, :size], atol=1e-5)


def test_queries_and_units_of_one_place_have_the_distances_of_the_text() -> None:
    """Section 9 of the released reader's buckets: the literal row of query 5, and what [CLS] sees."""
    table = buckets(paddle.arange(12).unsqueeze(0)).numpy()[0]
    assert table[5].tolist() == [32, 20, 19, 18, 17, 0, 1, 2, 3, 4, 5, 6]
    assert set(table[0].tolist()) == {16}
    # [CLS] a [M] d e, where [M] hides 2 and 3, and the queries for both.
    positions = paddle.to_tensor([[0, 1, 2, 4, 5, 2, 3]])
    table = buckets(positions).numpy()[0]
    assert table[6].tolist() == [32, 18, 17, 1, 2, 17, 0]
    assert table[5].tolist() == table[2].tolist() == [32, 17, 0, 2, 3, 0, 1]


def test_sampling_follows_the_probabilities() -> None:
    probabilities = np.array([0.5, 0.0, 0.2, 0.3])
    scores = paddle.to_tensor(np.log(probabilities + 1e-30).astype(np.float32)).expand([4000, 4])
    found = sample(scores, paddle.to_tensor(((np.arange(4000) + 0.5) / 4000).astype(np.float32))).numpy()
    np.testing.assert_allclose(np.bincount(found, minlength=4) / 4000, probabilities, atol=1e-3)
    edges = paddle.to_tensor(np.array([1e-6, np.nextafter(np.float32(1), np.float32(0))], np.float32))
    assert sample(scores[:2], edges).tolist() == [0, 3]
    assert sample(paddle.to_tensor([[-1000.0, 0.0, -1000.0]] * 2), edges).tolist() == [1, 1]


def test_a_sample_equal_to_its_target_is_original() -> None:
    text = paddle.to_tensor([[1, 3, 7, 3, 2], [1, 3, 2, 0, 0]])
    labels = is_original(text, paddle.to_tensor([1, 3, 6]), paddle.to_tensor([9, 8, 30]), paddle.to_tensor([9, 7, 30]))
    assert labels.tolist() == [[1, 1, 1, 0, 1], [1, 1, 1, 1, 1]]


def test_what_is_sampled_takes_the_place_of_the_mask(gram: SimpleNamespace, letters: ErnieTokenizer) -> None:
    """Tokens by their own word vectors; n-grams by [MASK]'s and their identities', mapped."""
    model = gram.build(generator=True)
    ids = paddle.to_tensor([[1, 3, 7, 3, 2]])
    ngram = letters.vocab_size + 2
    replaced, offsets = model._replace(ids, paddle.to_tensor([1, 3]), paddle.to_tensor([8, ngram]))
    assert replaced.tolist() == [[1, 8, 7, 3, 2]]
    expected = np.zeros([5, 24], np.float32)
    expected[3] = model.identities.weight.numpy()[ngram] @ model.ngram_projection.weight.numpy()
    np.testing.assert_allclose(offsets.numpy()[0], expected, atol=1e-6)


def test_a_proposal_of_the_padding_token_is_no_padding(
    gram: SimpleNamespace, make_batch: Any, letters: ErnieTokenizer
) -> None:
    model = gram.build(generator=True)
    masks = []
    model.backbone.encoder.register_forward_pre_hook(lambda _, inputs: masks.append(inputs[1].numpy()))
    batch = make_batch(generator=True)
    for favourite in (letters.pad_id, 7):
        bias = np.zeros(model.generator.head.decoder.bias.shape, np.float32)
        bias[favourite] = 1000
        model.generator.head.decoder.bias.set_value(bias)
        assert set(run(model, batch)["sampled"].tolist()) == {favourite}
    np.testing.assert_array_equal(*masks)


def test_no_gradient_goes_through_sampling(gram: SimpleNamespace, make_batch: Any) -> None:
    model = gram.build(generator=True)
    batch = make_batch(generator=True)
    sums = losses(run(model, batch), batch, 0)
    (sums["tokens"] + sums["identities"] + sums["original"]).backward()
    assert all(p.grad is None for p in model.generator.parameters())
    assert model.ngram_projection.weight.grad.abs().max() > 0
    model.clear_gradients()
    sums = losses(run(model, batch), batch, 0)
    sums["generator"].backward()
    reached = {name.partition(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {"generator", "identities"}
