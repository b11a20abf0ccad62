"""Windows, results over parts and prompts, and what counts of a text."""

from __future__ import annotations

import math

import pytest

from ppernie.errors import UserError
from ppernie.harness.aggregates import aggregate
from ppernie.harness.generation import _word_ends, first_word, last_number
from ppernie.harness.language_modelling import windows
from ppernie.harness.outcome import Outcome, of_prompt, of_task


@pytest.mark.parametrize(("room", "scored"), [(2047, 256), (7, 3), (7, 6), (5, 1)])
def test_windows_score_every_token_once(room: int, scored: int) -> None:
    for length in [*range(1, 30), 5000]:
        found = windows(length, room, scored)
        tokens = [token for window in found for token in range(window.scored, window.end)]
        assert tokens == list(range(length))
        assert all(0 <= w.start <= w.scored < w.end and w.end - w.start <= room for w in found)
        # Behind the first window, each but the last scores the same number with the same number before it.
        assert {(w.scored - w.start, w.end - w.scored) for w in found[1:-1]} <= {(room - scored, scored)}
        assert all(w.scored - w.start == room - scored for w in found[1:])


def test_a_whole_is_weighted_by_sizes_or_as_told() -> None:
    rows = [{"accuracy": (right, 1.0)} for right in (1.0, 0.0, 0.0, 1.0, 1.0)]
    parts = ["a", "a", "a", "b", "b"]
    found = of_prompt(Outcome(rows, 2), parts, None)
    assert found["all"] == {"accuracy": 0.6} and found["rows"] == 5 and found["truncated"] == 2
    assert found["parts"] == {"a": {"rows": 3, "accuracy": 1 / 3}, "b": {"rows": 2, "accuracy": 1.0}}
    weighted = of_prompt(Outcome(rows, 0), parts, {"a": 3, "b": 1, "absent": 9})
    assert weighted["all"]["accuracy"] == pytest.approx((3 / 3 + 1) / 4)
    with pytest.raises(UserError, match="weights: nothing for b; there is a"):
        of_prompt(Outcome(rows, 0), parts, {"a": 1})


def test_an_aggregate_counts_groups_of_parts_once() -> None:
    """Of four options the group a has 1/4 and all right; b is guessed; c is written, and half of it right."""
    chosen = {"rows": 1, "chance": 0.25}
    one = {"a/x": chosen | {"accuracy": 0.25}, "a/y": chosen | {"accuracy": 1.0}, "b": chosen | {"accuracy": 0.25}}
    other = one | {"b": chosen | {"accuracy": 1.0}}
    choice = {"rows": 9, "truncated": 1, "prompts": {"p": {"parts": one}, "q": {"parts": other}}}
    written = {
        "rows": 4,
        "truncated": 2,
        "prompts": {"p": {"parts": {"c": {"rows": 4, "exact_match": 0.5, "f1": 0.9}}}},
    }
    found = aggregate([choice, written])
    assert (found["rows"], found["truncated"]) == (13, 3)
    assert found["measures"]["normalised"] == pytest.approx(
        {"max": (0.5 + 1 + 0.5) / 3, "median": (0.5 + 0.5 + 0.5) / 3, "mean": (0.5 + 0.5 + 0.5) / 3}
    )


def test_perplexity_is_of_all_words_together() -> None:
    rows = [{"perplexity": (6.0, 2.0)}, {"perplexity": (2.0, 6.0)}, {"perplexity": (90.0, 1.0)}]
    found = of_prompt(Outcome(rows[:2], 0), ["a", "b"], None)
    assert found["all"]["perplexity"] == pytest.approx(math.exp(1))
    assert found["parts"]["a"]["perplexity"] == pytest.approx(math.exp(3))
    assert of_prompt(Outcome(rows, 0), ["a", "a", "b"], None)["parts"]["b"]["perplexity"] == math.exp(20)


def test_prompts_give_the_highest_the_median_and_the_mean() -> None:
    prompts = {name: {"all": {"accuracy": value}} for name, value in (("a", 0.1), ("b", 0.4), ("c", 0.2), ("d", 0.3))}
    (found,) = of_task(prompts).values()
    assert found == pytest.approx({"max": 0.4, "median": 0.25, "mean": 0.25})


@pytest.mark.parametrize(
    ("text", "word", "number", "ends"),
    [
        ("fox. And 12", "fox", "12", True),
        (' "fox" , 1,234.50 and', "fox", "1234.50", True),
        ("fox jumps. -3", "fox", "-3", False),
        ("fox", "fox", "", False),
        ("don't ! 7 apples", "don't", "7", True),
        ("", "", "", False),
        ("...", "", "", False),
    ],
)
def test_what_counts_of_a_text(text: str, word: str, number: str, ends: bool) -> None:
    assert (first_word(text), last_number(text), _word_ends(text)) == (word, number, ends)
