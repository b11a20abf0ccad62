"""Corpora that keep where paragraphs begin, for networks that write texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ppernie.data.corpus import Corpus, open_corpus
from ppernie.data.corpus.building import build_corpus
from ppernie.data.corpus.settings import CorpusConfig, load_corpus_config
from ppernie.data.tokenizers import ErnieTokenizer, GlmChineseTokenizer, IcetkTokenizer
from ppernie.data.tokenizers.training import FIXED_PIECES, train_icetk
from ppernie.errors import UserError

MakeConfig = Callable[..., CorpusConfig]

DOCUMENTS = [
    ["The cat sat. A dog sat too!", "天地玄黄，宇宙洪荒。日月盈昃！", "辰宿列张。", "No. It did not."],
    ["A dog.", "天地玄黄。"],
]


@pytest.fixture(scope="module")
def icetk() -> IcetkTokenizer:
    return train_icetk([text for document in DOCUMENTS for text in document] * 4, FIXED_PIECES + 40)


def _texts(corpus: Corpus, tokenizer: IcetkTokenizer) -> list[str]:
    borders = corpus.sentences[corpus.documents]
    parts = zip(borders[:-1], borders[1:], strict=True)
    return [tokenizer.decode(corpus.tokens[start:stop].tolist()) for start, stop in parts]


@pytest.mark.parametrize(("block_mb", "segmenter"), [(1e-5, "builtins:list"), (1.0, "jieba")])
def test_paragraphs_begin_with_a_line_feed(
    make_config: MakeConfig, icetk: IcetkTokenizer, tmp_path: Path, block_mb: float, segmenter: str
) -> None:
    """The texts come back as they were, but for spaces at the ends of lines."""
    (tmp_path / "a.txt").write_text("\n\n".join("  \n".join(d) for d in DOCUMENTS), encoding="utf-8")
    config = make_config(line_feeds=True, block_mb=block_mb, segmenter=segmenter)
    build_corpus(config, icetk, 1)
    corpus = open_corpus(config.output)
    expected = ["\n".join(document) for document in DOCUMENTS]
    assert _texts(corpus, icetk) == expected
    assert corpus.tokens.tolist() == [index for text in expected for index in icetk.encode_plain(text)]


def test_wrapped_lines_are_one_paragraph(make_config: MakeConfig, icetk: IcetkTokenizer, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The cat\nsat. A\ndog sat\n\n\ntoo! No.\n", encoding="utf-8")
    source = {"name": "a", "files": "a.txt", "documents": "file", "wrapped": True}
    config = make_config(line_feeds=True, sources=[source])
    build_corpus(config, icetk, 1)
    assert _texts(open_corpus(config.output), icetk) == ["The cat sat. A dog sat\ntoo! No."]


def test_without_the_option_there_are_none(make_config: MakeConfig, icetk: IcetkTokenizer, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(DOCUMENTS[0]), encoding="utf-8")
    config = make_config()
    build_corpus(config, icetk, 1)
    assert "\n" not in _texts(open_corpus(config.output), icetk)[0]


def test_tokenizers_that_have_no_line_feed(
    make_config: MakeConfig, small_tokenizer: ErnieTokenizer, shared_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("天地。\n玄黄。", encoding="utf-8")
    cog = GlmChineseTokenizer.from_file(shared_data / "vocab" / "glm_cog-pretrain.model")
    for tokenizer in (small_tokenizer, cog):
        with pytest.raises(UserError, match="reads a line feed as a space; set line_feeds to false"):
            build_corpus(make_config(line_feeds=True), tokenizer, 1)


@pytest.mark.parametrize("sources", [{}, {"cleaning": {"min_words": 3}}])
def test_no_sentence_may_be_dropped(tmp_path: Path, sources: dict[str, object]) -> None:
    (tmp_path / "corpus.yaml").write_text(
        json.dumps(
            {
                "output": "corpus",
                "tokenizer": {"folder": "tokenizer"},
                "line_feeds": True,
                "cleaning": {"min_words": 0 if sources else 5},
                "sources": [{"name": "a", "files": "a.txt", **sources}],
            }
        )
    )
    with pytest.raises(UserError, match="line_feeds .*: keeps text as it runs.*set cleaning.min_words to 0"):
        load_corpus_config(tmp_path / "corpus.yaml")
