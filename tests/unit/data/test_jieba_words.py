"""The dictionary's words as a data set, and the vocabulary that is made of them."""

from __future__ import annotations

import pytest

from ppernie.data.jieba_words import KINDS, SPLITS, kind_of, load
from ppernie.data.vocabulary import SPECIAL_TOKENS, character_vocabulary
from ppernie.errors import UserError


@pytest.fixture(scope="module")
def splits() -> dict[str, set[str]]:
    return {split: {row["word"] for row in load(split)} for split in SPLITS}


def test_every_word_is_in_one_part(splits: dict[str, set[str]]) -> None:
    # The dictionary has 349,046 entries, one of them twice.
    assert sum(map(len, splits.values())) == len(set.union(*splits.values())) == 349_045
    assert len(splits["train"]) > 0.89 * 349_045 and len(splits["test"]) > 0.04 * 349_045


@pytest.mark.parametrize(
    ("tag", "kind"),
    [("n", "common noun"), ("nrt", "person"), ("ns", "place"), ("nz", "other"), ("vn", "verb"), ("zg", "other")],
)
def test_the_longest_prefix_decides(tag: str, kind: str) -> None:
    assert kind_of(tag) == kind


def test_kinds() -> None:
    assert {row["kind"] for row in load("dev")} == set(KINDS.values())


def test_unknown_split() -> None:
    with pytest.raises(UserError, match="train, dev, test"):
        load("validation")


def test_the_quickstart_predicts_words_that_are_in_no_dictionary(splits: dict[str, set[str]]) -> None:
    from ppernie.quickstart import _NEW_WORDS

    assert not set(_NEW_WORDS) & set.union(*splits.values())


def test_character_vocabulary() -> None:
    assert character_vocabulary(["北京北", "京 都"], min_count=2) == [*SPECIAL_TOKENS, "北", "京"]
