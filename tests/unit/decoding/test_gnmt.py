"""The published rule of beam search against itself spelled out, and against all texts that there are."""

from __future__ import annotations

import numpy as np
import pytest

from ppernie.decoding.generate import generate
from ppernie.decoding.options import Decoding

from .test_generate import END, PROMPTS, Table, every_text, log_probability, scores_after

OTHER_END = 3


def run(prompt: list[int], longest: int, **options: object) -> list[int]:
    decoding = Decoding(strategy="beam", beam_rule="gnmt", **options)
    return generate(Table(), [prompt], decoding, end_id=END, max_new_tokens=longest)[0]


def worth(score: float, prompt: list[int], length: int, penalty: float) -> float:
    return score / ((5 + len(prompt) + length) / 6) ** penalty


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0, 3.0])
def test_a_wide_beam_finds_the_best_of_all_texts(penalty: float) -> None:
    for prompt in PROMPTS:
        best = max(every_text(4), key=lambda text: worth(log_probability(prompt, text), prompt, len(text), penalty))
        assert run(prompt, 4, beams=64, length_penalty=penalty) == [token for token in best if token != END]


def spelled_out(prompt: list[int], longest: int, beams: int, penalty: float) -> list[int]:
    """The search of GLM-130B's code for one prompt: ended texts in order, and those that go on."""
    ended: list[tuple[float, tuple[int, ...]]] = []
    going: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for length in range(1, longest + 1):
        pool = [
            (score + s - np.log(np.exp(after).sum()), (*text, token))
            for score, text in going
            for after in [scores_after((*prompt, *text))]
            for token, s in enumerate(after)
        ]
        going = []
        for score, text in sorted(pool, reverse=True)[: 2 * beams]:
            if text[-1] == END:
                ended.append((worth(score, prompt, length, penalty), text[:-1]))
                ended = sorted(ended, reverse=True)[:beams]
            elif len(going) < beams:
                going.append((score, text))
            else:
                break
        if len(ended) == beams and ended[-1][0] >= worth(going[0][0], prompt, length, penalty):
            break
    ended += [(worth(score, prompt, length, penalty), text) for score, text in going]
    return list(max(ended)[1])


@pytest.mark.parametrize("beams", [1, 2, 3])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
def test_a_narrow_beam_goes_as_published(beams: int, penalty: float) -> None:
    prompts = [[a, b, c] for a in range(1, 4) for b in range(1, 4) for c in range(1, 4)]
    found = [run(prompt, 8, beams=beams, length_penalty=penalty) for prompt in prompts]
    assert found == [spelled_out(prompt, 8, beams, penalty) for prompt in prompts]
    assert len({len(text) for text in found}) > 2


def test_the_prompt_counts_as_length() -> None:
    """The longer the prompt, the less a text gains by being longer."""
    lengths = [len(run([*prompt, *[1] * 3], 6, beams=8, length_penalty=4.0)) for prompt in PROMPTS]
    means = [
        len(generate(Table(), [[*prompt, *[1] * 3]], Decoding(strategy="beam", beams=8, length_penalty=4.0),
                     end_id=END, max_new_tokens=6)[0])
        for prompt in PROMPTS
    ]  # fmt: skip
    assert sum(lengths) < sum(means)


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam"])
def test_any_of_several_ends_ends_a_text(strategy: str) -> None:
    texts = generate(Table(), PROMPTS, Decoding(strategy=strategy), end_id=[END, OTHER_END], max_new_tokens=9)
    assert not {END, OTHER_END} & {token for text in texts for token in text}
    assert min(map(len, texts)) < 9
    options = Decoding(strategy=strategy, min_new_tokens=5)
    late = generate(Table(), PROMPTS, options, end_id=[END, OTHER_END], max_new_tokens=9)
    assert all(len(text) >= 5 and not {END, OTHER_END} & set(text) for text in late)
