"""Words and names: those of jieba, of a user's lexicon, and of a user's function."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ppernie.data.corpus.cleaning import split_sentences
from ppernie.data.corpus.dictionary import jieba_entries
from ppernie.data.corpus.segmentation import DictionarySegmenter, Segmenter, open_segmenter
from ppernie.errors import UserError


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return open_segmenter("jieba", None)


def _flags(sentences: Sequence[Sequence[str]], names: set[str]) -> tuple[list[bool], list[int]]:
    words = [word for sentence in sentences for word in sentence]
    begins = [number == 0 for word in words for number in range(len(word))]
    return begins, [(2 - (number == 0)) * (word in names) for word in words for number in range(len(word))]


def test_words_are_those_of_jieba(segmenter: Segmenter, shared_data: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba
    jieba.setLogLevel("ERROR")
    names = {entry.word for entry in jieba_entries() if entry.tag.startswith(("nr", "ns", "nt", "nz"))}
    for path in ("classical_novels_zh/红楼梦.txt", "laws_zh/laws.jsonl", "classical_novels_zh/镜花缘.txt"):
        text = (shared_data / path).read_bytes()[300_000:500_000].decode("utf-8", "ignore")
        # Letters beyond ASCII are where more is joined than by jieba.
        sentences = [s for s in split_sentences(text) if not re.search(r"[^\W\d_a-zA-Z\u3400-\u9fff]", s)]
        begins, found = segmenter(sentences)
        words, tags = _flags([list(jieba.cut(sentence, HMM=False)) for sentence in sentences], names)
        assert sum(words) > 30_000 and sum(tags) > 300
        assert begins.tolist() == words
        assert found.tolist() == tags


def test_letters_of_an_alphabet_make_a_word(segmenter: Segmenter) -> None:
    text = "café 3 naïve Привет,мир"
    begins, _ = segmenter([text])
    starts = np.flatnonzero(begins).tolist()
    assert [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)] == [
        *("café", " ", "3", " ", "naïve", " ", "Привет", ",", "мир")
    ]


def test_a_users_words(segmenter: Segmenter, tmp_path: Path) -> None:
    text = "我在云计算大会上见了石墨烯量子点"
    lexicon = tmp_path / "words.txt"
    lexicon.write_text("云计算 1000 nz\n石墨烯量子点\n见了石墨 1 n\n", encoding="utf-8")
    begins, names = open_segmenter("jieba", lexicon)([text])
    starts = np.flatnonzero(begins).tolist()
    words = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    assert "云计算" in words and "石墨烯量子点" in words
    assert names.tolist() == [0, 0, 1, 2, 2, *[0] * 11]
    before = np.flatnonzero(segmenter([text])[0])
    assert len(before) > len(starts)


def test_a_word_that_is_known_is_replaced() -> None:
    entries = list(jieba_entries())
    changed = DictionarySegmenter(entries, [entry._replace(tag="nz") for entry in entries if entry.word == "学习"])
    assert changed(["我要学习"])[1].tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("\n\n", "holds no words"),
        ("词 0 n", "words.txt:1: expected a word, a count above 0"),
        ("好\n词 1 n x", "words.txt:2: expected a word"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_broken_lexicon_is_told(content: str | bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError, match=problem):
        open_segmenter("jieba", path)


def test_a_users_function() -> None:
    pairs = open_segmenter("jieba.posseg:lcut", None)
    begins, names = pairs(["我在北京", "好"])
    assert begins.tolist() == [True, True, True, False, True]
    assert names.tolist() == [0, 0, 1, 2, 0]
    with pytest.raises(UserError, match="segmenter builtins:sorted: its words do not make up the sentence 'ba'"):
        open_segmenter("builtins:sorted", None)(["ba"])
    for name in ("absent_module:f", "builtins:absent", "builtins", ":"):
        with pytest.raises(UserError, match="it is jieba, or package.module:function"):
            open_segmenter(name, None)
    with pytest.raises(UserError, match="lexicon goes with segmenter: jieba"):
        open_segmenter("builtins:list", Path("words.txt"))
