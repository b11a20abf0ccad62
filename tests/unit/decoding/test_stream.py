"""Tokens and texts as they come."""

from __future__ import annotations

import numpy as np
import pytest

from ppernie.decoding.generate import generate, stream
from ppernie.decoding.options import Decoding
from ppernie.decoding.sampling import allowed_scores
from ppernie.decoding.text import TextStream
from ppernie.errors import UserError

from .test_generate import END, PROMPTS, Table


def test_a_stream_hands_out_what_generate_gathers() -> None:
    for options in (Decoding(), Decoding(strategy="sample", seed=2)):
        gathered: list[list[int]] = [[] for _ in PROMPTS]
        for row, token in stream(Table(), PROMPTS, options, end_id=END, max_new_tokens=7):
            gathered[row].append(token)
        assert gathered == generate(Table(), PROMPTS, options, end_id=END, max_new_tokens=7)


def test_a_token_comes_before_the_next_is_asked_for() -> None:
    network = Table()
    tokens = stream(network, [[1, 2]], Decoding(min_new_tokens=5), end_id=END, max_new_tokens=5)
    for steps, _ in enumerate(tokens, 1):
        assert network.steps == steps


def test_shorter_prompts_are_filled_up_on_the_left() -> None:
    class Whole(Table):
        def step(self, ids, state):  # type: ignore[no-untyped-def]
            if not state:
                self.read = ids.tolist()
            return super().step(ids, state)

    network = Whole()
    generate(network, [[1, 2, 3], [2]], Decoding(), end_id=END, max_new_tokens=2, pad_id=9)
    assert network.read == [[1, 2, 3], [9, 9, 2]]


def test_parts_of_a_text_end_between_characters() -> None:
    """A token a byte, as tokenizers fall back to for characters that they lack."""
    text = "aé雨𝄞b\ufffd"
    written = TextStream(lambda tokens: bytes(tokens).decode("utf-8", "replace"))
    parts = [written.add(byte) for byte in text.encode()]
    assert [part for part in parts if part] == ["a", "é", "雨", "𝄞", "b"]
    assert written.end() == "\ufffd" and written.end() == ""


def test_what_stays_incomplete_is_handed_out_at_the_end() -> None:
    written = TextStream(lambda tokens: bytes(tokens).decode("utf-8", "replace"))
    assert [written.add(byte) for byte in "雨".encode()[:2]] == ["", ""]
    assert written.end() == "\ufffd"


def test_banned_tokens_never_come() -> None:
    scores = np.asarray([0.0, 3.0, 2.0, 1.0])
    assert allowed_scores(scores, [], Decoding(banned_ids=[1, 2]), 0).argmax() == 3
    with pytest.raises(UserError, match="banned_ids: 4 is no token of a vocabulary of 4"):
        allowed_scores(scores, [], Decoding(banned_ids=[4]), 0)
    for strategy in ("greedy", "sample", "beam"):
        options = Decoding(strategy=strategy, banned_ids=[1, 2])
        assert {t for text in generate(Table(), PROMPTS, options, end_id=END, max_new_tokens=9) for t in text} <= {3}
