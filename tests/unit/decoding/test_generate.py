"""The decoding loop over a network whose next token depends on all the tokens before."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.decoding.generate import generate
from ppernie.decoding.options import Decoding

VOCAB, END = 4, 0


def scores_after(tokens: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng((7, *tokens)).normal(size=VOCAB) * 2


class Table:
    """A network that keeps what it read, and whose scores are a function of it."""

    steps = 0

    def start(self) -> tuple[Any, ...]:
        return ()

    def step(self, ids: paddle.Tensor, state: Any) -> tuple[paddle.Tensor, Any]:
        self.steps += 1
        new = [tuple(row) for row in ids.tolist()]
        read = [old + row for old, row in zip(state, new, strict=True)] if state else new
        return paddle.to_tensor(np.stack([scores_after(row) for row in read])), tuple(read)

    def select(self, state: Any, rows: paddle.Tensor) -> Any:
        return tuple(state[row] for row in rows.tolist())


def run(prompts: list[list[int]], longest: int = 6, **options: Any) -> list[list[int]]:
    return generate(Table(), prompts, Decoding(**options), end_id=END, max_new_tokens=longest)


def one_by_one(prompt: list[int], longest: int) -> list[int]:
    text: list[int] = []
    while len(text) < longest and (token := int(scores_after((*prompt, *text)).argmax())) != END:
        text.append(token)
    return text


PROMPTS = [[1, 2], [3], [2, 2, 1, 3], [1, 1, 1], [3, 2], [2]]


def test_greedy_takes_the_likeliest_each_time_whatever_stands_beside() -> None:
    expected = [one_by_one(prompt, 6) for prompt in PROMPTS]
    assert len({len(text) for text in expected}) > 2
    assert run(PROMPTS) == expected
    assert run(PROMPTS[2:4]) == expected[2:4]


def test_rows_that_ended_are_dropped() -> None:
    network = Table()
    texts = generate(network, [[1, 2]], Decoding(), end_id=END, max_new_tokens=50)
    assert network.steps == len(texts[0]) + 1 < 50


def test_a_sampled_text_depends_on_its_prompt_row_and_seed_alone() -> None:
    texts = run(PROMPTS, strategy="sample", seed=3)
    assert texts == run(PROMPTS, strategy="sample", seed=3)
    assert texts != run(PROMPTS, strategy="sample", seed=4)
    assert texts[:2] == run(PROMPTS[:2], strategy="sample", seed=3)


def test_numbers_and_parts_choose_the_random_numbers() -> None:
    def sampled(prompts: list[list[int]], **which: Any) -> list[list[int]]:
        options = Decoding(strategy="sample", seed=3)
        return generate(Table(), prompts, options, end_id=END, max_new_tokens=20, **which)

    texts = sampled(PROMPTS)
    assert sampled(PROMPTS[2:4], numbers=[2, 3]) == texts[2:4] != sampled(PROMPTS[2:4])
    assert sampled(PROMPTS, part=0) == texts != sampled(PROMPTS, part=1)


def log_probability(prompt: list[int], text: tuple[int, ...]) -> float:
    total = 0.0
    for n, token in enumerate(text):
        scores = scores_after((*prompt, *text[:n]))
        total += scores[token] - math.log(np.exp(scores).sum())
    return total


def every_text(longest: int) -> list[tuple[int, ...]]:
    """Texts with their end, and those cut off."""
    ended = [(*body, END) for n in range(longest) for body in itertools.product(range(1, VOCAB), repeat=n)]
    return ended + list(itertools.product(range(1, VOCAB), repeat=longest))


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0, 2.0])
def test_a_wide_beam_finds_the_likeliest_of_all_texts(penalty: float) -> None:
    for prompt in PROMPTS:
        best = max(every_text(4), key=lambda text: log_probability(prompt, text) / len(text) ** penalty)
        found = run([prompt], 4, strategy="beam", beams=64, length_penalty=penalty)[0]
        assert found == [token for token in best if token != END]


def test_one_beam_is_greedy_and_more_are_no_worse() -> None:
    def value(prompt: list[int], text: list[int]) -> float:
        return log_probability(prompt, (*text, END) if len(text) < 4 else tuple(text))

    for prompt in PROMPTS:
        # Without a penalty the end found first is kept until a likelier text comes.
        narrow, wide = (run([prompt], 4, strategy="beam", beams=n, length_penalty=0.0)[0] for n in (1, 3))
        assert value(prompt, narrow) >= value(prompt, one_by_one(prompt, 4)) - 1e-12
        assert value(prompt, wide) >= value(prompt, narrow) - 1e-12


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam"])
def test_limits_hold_for_every_strategy(strategy: str) -> None:
    for text in run(PROMPTS, 9, strategy=strategy, no_repeat_ngram=2, min_new_tokens=5):
        runs = list(itertools.pairwise(text))
        assert 5 <= len(text) <= 9
        assert len(runs) == len(set(runs))
