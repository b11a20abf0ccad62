"""Ids of hard lines against those that PaddleNLP gave (golden.json, written by make_golden.py)."""

import json
from pathlib import Path

import pytest

from ppernie.data.tokenizers import ErnieTokenizer

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="ascii"))


@pytest.mark.parametrize("case", ["lower", "cased"])
def test_hard_lines_have_the_ids_of_paddlenlp(case: str) -> None:
    tokenizer = ErnieTokenizer(GOLDEN["vocab"], lowercase=case == "lower")
    texts = [line["text"] for line in GOLDEN["lines"]]
    expected = [line[case] for line in GOLDEN["lines"]]
    assert len(texts) > 300
    assert {text: tokenizer.encode(text).ids for text in texts} == dict(zip(texts, expected, strict=True))
    assert [encoding.ids for encoding in tokenizer.encode_batch(texts)] == expected


def test_pairs_are_truncated_as_by_paddlenlp() -> None:
    tokenizer = ErnieTokenizer(GOLDEN["vocab"])
    for first, second, max_length, ids, type_ids in GOLDEN["pairs"]:
        encoding = tokenizer.encode(first, second, max_length=max_length)
        assert (encoding.ids, encoding.type_ids) == (ids, type_ids), (first, second, max_length)
