"""A GLM's scores and texts against the same network asked for one thing at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_zoo.glm import harness
from ppernie.data.tokenizers.glm_chinese import GlmChineseTokenizer
from ppernie.decoding.options import Decoding
from ppernie.errors import UserError
from ppernie.harness.scorer import Blank, Context, fitted

KINDS: list[dict[str, Any]] = [
    {},
    {"positions": "rotary_2d", "feed_forward": "gelu_tanh"},
    {"positions": "learned_2d", "feed_forward": "gelu_tanh", "normalization": "pre"},
]


def alone(scorer: Any, context: Sequence[int], mask: int, answer: Sequence[int]) -> np.ndarray:
    """Log-probabilities of an answer, its positions and mask written out by hand; logits of all places."""
    import paddle

    tokenizer, rows = scorer.tokenizer, scorer.network.config.position_rows
    ids = [*context, tokenizer.sop_id, *answer[:-1]]
    start, places = len(context), range(1, len(answer) + 1)
    if rows == 2:
        positions = [[*range(start), *[mask] * len(answer)], [0] * start + list(places)]
    elif context[mask] == tokenizer.gmask_id:
        positions = [list(range(len(ids)))]
    else:
        positions = [[*range(start), *[mask] * len(answer)]]
    visible = [[0] * len(ids), [start] * len(ids), [0] * len(ids)]
    with paddle.no_grad():
        logits = scorer.network(*(paddle.to_tensor([part], dtype="int64") for part in (ids, positions, visible)))
    scores = logits.numpy()[0, start:].astype(np.float64)
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    return scores[np.arange(len(answer)), list(answer)]


@pytest.mark.parametrize("changes", KINDS, ids=lambda changes: changes.get("positions", "rotary_1d"))
@pytest.mark.parametrize("text", ["the quick brown", "the quick brown[gMASK]", "the [MASK] brown fox"])
def test_options_in_one_go_are_as_each_alone(
    make_scorer: Callable[..., Any], changes: dict[str, Any], text: str
) -> None:
    scorer = make_scorer(**changes)
    options = [scorer.answer(option) for option in ("fox", "lazy dog jumps", "A", "quick or brown")]
    blanks = [Blank(scorer.context(text, "mask", ""), options), Blank(scorer.context("no", "gmask", ""), options[1:])]
    for blank, found in zip(blanks, scorer.log_likelihoods(blanks), strict=True):
        for answer, part in zip(blank.answers, found, strict=True):
            expected = alone(scorer, blank.context.ids, blank.context.mask, answer)
            np.testing.assert_allclose(part, expected, rtol=0, atol=2e-5)


def test_options_of_one_token_share_a_place(make_scorer: Callable[..., Any]) -> None:
    scorer = make_scorer()
    context = scorer.context("Is it A or B?", "mask", "")
    options = [[index] for index in range(40, 50)]
    (found,) = scorer.log_likelihoods([Blank(context, options)])
    expected = [alone(scorer, context.ids, context.mask, option)[0] for option in options]
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=0, atol=2e-5)
    assert scorer.room([1] * 10) == 64 - 1 and scorer.room([1, 2]) == 64 - 3


def test_a_smaller_glm_has_a_frame(make_scorer: Callable[..., Any], shared_data: Path) -> None:
    tokenizer = GlmChineseTokenizer.from_file(shared_data / "vocab" / "glm_cog-pretrain.model")
    scorer = make_scorer(tokenizer, **KINDS[2])
    cls, end = tokenizer.encode("").ids
    context = scorer.context("山高水长", "mask", "")
    answers = [scorer.answer("一心一意"), scorer.answer("好")]
    (found,) = scorer.log_likelihoods([Blank(context, answers)])
    for answer, part in zip(answers, found, strict=True):
        expected = alone(scorer, [cls, *context.ids, end], context.mask + 1, answer)
        np.testing.assert_allclose(part, expected, rtol=0, atol=2e-5)
    assert scorer.room([]) == 62


@pytest.mark.parametrize("strategy", ["greedy", "beam"])
def test_what_is_written_is_the_likeliest(make_scorer: Callable[..., Any], strategy: str) -> None:
    scorer = make_scorer()
    prompts = [(scorer.context(text, "gmask", ""), []) for text in ("the", "the quick brown fox jumps", "no")]
    decoding = Decoding(strategy=strategy, beams=3, beam_rule="gnmt")
    found = scorer.texts(prompts, decoding, 4, no_leading_punctuation=False)
    assert [scorer.texts([prompt], decoding, 4, no_leading_punctuation=False)[0] for prompt in prompts] == found
    for (context, _), beams in zip(prompts, found, strict=True):
        assert all(len(beam) <= 4 for beam in beams) and len(beams) == (1 if strategy == "greedy" else 3)
        if len(beams[0]) == 4:
            scores = [alone(scorer, context.ids, context.mask, beam).sum() for beam in beams if len(beam) == 4]
            # By the rule of GLM-130B probabilities are of the tokens that may come, which these all but are.
            assert strategy == "greedy" or scores == sorted(scores, reverse=True)


def test_what_is_drawn_does_not_depend_on_the_batch(
    make_scorer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text is drawn by its number, whatever stands beside it; the same prompt twice gives two texts."""
    scorer = make_scorer()
    prompts = [(scorer.context(text, "gmask", ""), []) for text in ("the", "the quick brown fox jumps", "the", "no")]

    def texts() -> Any:
        decoding = Decoding(strategy="sample", temperature=2.0)
        return scorer.texts(prompts, decoding, 6, no_leading_punctuation=False)

    together = texts()
    assert together[0] != together[2]
    monkeypatch.setattr(harness, "_TOKENS", 1)
    assert texts() == together


def test_a_text_goes_on_from_its_beginning(make_scorer: Callable[..., Any]) -> None:
    scorer = make_scorer()
    empty, begun = scorer.context("", "gmask", ""), scorer.answer("the quick brown")
    ((text,),) = scorer.texts([(empty, begun)], Decoding(min_new_tokens=1), 1, no_leading_punctuation=False)
    (found,) = scorer.log_likelihoods([Blank(empty, [[*begun, index] for index in range(20, 120)])])
    (own,) = scorer.log_likelihoods([Blank(empty, [[*begun, *text]])])
    assert own[0][-1] >= max(float(part[-1]) for part in found) - 1e-5


def test_no_text_begins_with_punctuation(make_scorer: Callable[..., Any]) -> None:
    scorer = make_scorer()
    signs = set(scorer._punctuation())
    assert {scorer.decode([index]).strip() for index in signs} >= {".", ",", "?"}
    prompts = [
        (scorer.context(word, "gmask", ""), [])
        for word in ["the", "quick", "brown", "fox", "jumps", "over", "a", "dog"]
    ]
    decoding = Decoding(strategy="beam", beams=8, beam_rule="gnmt")
    free, bound = (scorer.texts(prompts, decoding, 2, no_leading_punctuation=rule) for rule in (False, True))
    assert any(beam[:1] and beam[0] in signs for beams in free for beam in beams)
    assert not any(beam[:1] and beam[0] in signs for beams in bound for beam in beams)


def test_a_long_context_loses_its_beginning() -> None:
    assert fitted(Context([5, 6, 7], 2), 3, "") == (Context([5, 6, 7], 2), False)
    assert fitted(Context([5, 6, 7, 8], 3), 2, "") == (Context([7, 8], 1), True)
    assert fitted(Context([5, 6, 7, 8], 2), 2, "") == (Context([7, 8], 0), True)
    for room in (1, 0, -3):
        with pytest.raises(UserError, match="rows:1: . tokens too many .* the mask would be cut off"):
            fitted(Context([5, 6, 7, 8], 2), room, "rows:1")


def test_wrong_prompts(make_scorer: Callable[..., Any], tokenizer: Any) -> None:
    scorer = make_scorer()
    with pytest.raises(UserError, match="rows:3: 2 masks in"):
        scorer.context("a [MASK] b [gMASK]", "mask", "rows:3")
    with pytest.raises(UserError, match="rows:3: the prompt holds <sop>"):
        scorer.context("a <sop>", "mask", "rows:3")
    with pytest.raises(UserError, match="the tokenizer has .* tokens and the network 7"):
        make_scorer(vocab_size=7)
    with pytest.raises(UserError, match="a GLM's tokenizer"):
        make_scorer(tokenizer)
