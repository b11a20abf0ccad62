"""Corpora of real text beside a naive twin, whatever the workers, the blocks and the interruptions."""

from __future__ import annotations

import json
import os
import random
import signal
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ppernie.data.corpus import Corpus, merging, open_corpus, parts
from ppernie.data.corpus.building import build_corpus
from ppernie.data.corpus.cleaning import Repeats, collapse_characters, split_sentences
from ppernie.data.corpus.dictionary import jieba_entries
from ppernie.data.corpus.processes import run_jobs
from ppernie.data.corpus.settings import CorpusConfig
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError

MakeConfig = Callable[..., CorpusConfig]
Build = Callable[..., Corpus]


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _naive(texts: list[list[str]], tokenizer: ErnieTokenizer, least: int) -> list[list[list[tuple[int, int, int]]]]:
    """Documents as sentences of (id, begins a word, entity)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba
    names = {entry.word for entry in jieba_entries() if entry.tag.startswith(("nr", "ns", "nt", "nz"))}
    documents, seen = [], set()
    for paragraphs in texts:
        sentences = [s for p in paragraphs for s in split_sentences(collapse_characters(p)) if s]
        document = []
        sentences = list(Repeats().collapse(sentences))
        longest = tuple(sorted(sorted(sentences, key=len, reverse=True)[:3]))
        if longest in seen:
            continue
        seen.add(longest)
        for sentence in sentences:
            words = list(jieba.cut(sentence, HMM=False))
            if sum(word[0].isalnum() for word in words) < least:
                continue
            flags = [(int(n == 0), (1 if n == 0 else 2) * (word in names)) for word in words for n in range(len(word))]
            encoding = tokenizer.encode(sentence)
            spans = zip(encoding.ids[1:-1], encoding.offsets[1:-1], strict=True)
            document.append([(token, *flags[start]) for token, (start, _) in spans])
        if document:
            documents.append(document)
    return documents


def test_a_corpus_is_the_naive_one(
    build: Build, chinese_tokenizer: ErnieTokenizer, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_BATCH", 5000)
    monkeypatch.setattr(merging, "_BLOCK", 100)
    lines = (shared_data / "laws_zh" / "laws.jsonl").read_text(encoding="utf-8").splitlines()[:9]
    lines.insert(7, lines[3])
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    corpus = build(
        chinese_tokenizer,
        segmenter="jieba",
        cleaning={"min_words": 10},
        sources=[{"name": "laws", "files": "a.txt", "format": "jsonl"}],
        block_mb=0.05,
    )
    texts = [json.loads(line)["text"] for line in lines]
    documents = _naive([text.split("\n") for text in texts], chinese_tokenizer, 10)
    sentences = [sentence for document in documents for sentence in document]
    tokens = [token for sentence in sentences for token in sentence]
    assert len(tokens) > 20_000
    rows = np.stack([corpus.tokens, corpus.words, corpus.entities], 1)
    assert rows.tolist() == [list(token) for token in tokens]
    assert corpus.sentences.tolist() == np.cumsum([0, *map(len, sentences)]).tolist()
    assert corpus.documents.tolist() == np.cumsum([0, *map(len, documents)]).tolist()
    assert corpus.statistics["documents repeated"] == len(lines) - len(documents) > 0
    assert corpus.statistics["words"] == sum(begins for _, begins, _ in tokens)
    assert (corpus.tokens.dtype, corpus.words.dtype, corpus.sentences.dtype) == (np.uint16, np.uint8, np.int64)


def test_sources_and_copies(build: Build, tmp_path: Path) -> None:
    """The first of equal documents stays, over blocks, files and sources; empty ones are counted."""
    (tmp_path / "a.txt").write_text("天地。玄黄。\n\n宇宙。\n\n天地。玄黄。\n\n\u0301\n", encoding="utf-8")
    rows = ["宇宙。", "", "玄黄。天地。", "张。", "张。", ""]
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps({"text": row}) for row in rows), encoding="utf-8")
    sources = [
        {"name": "a", "files": "a.txt"},
        {"name": "b", "files": "b.jsonl", "format": "jsonl"},
        {"name": "c", "files": "a.txt", "cleaning": {"min_words": 0, "deduplicate": False}, "weight": 2.5},
    ]
    corpus = build(sources=sources, block_mb=1e-5)
    assert corpus.sources == ("a", "b", "c") and corpus.weights == (1, 1, 2.5)
    assert np.diff(corpus.documents).tolist() == [2, 1, 1, 2, 1, 2]
    assert corpus.source_of.tolist() == [0, 0, 1, 2, 2, 2]
    counts = corpus.statistics
    assert counts["documents repeated"] == 1 + 3 and counts["documents of which nothing is left"] == 1 + 2 + 1
    assert (counts["documents"], counts["sentences"], counts["tokens"]) == (6, 9, len(corpus.tokens))


@pytest.fixture
def sample(shared_data: Path, tmp_path: Path) -> None:
    text = (shared_data / "classical_novels_zh" / "老残游记.txt").read_text(encoding="utf-8")[:15_000]
    (tmp_path / "a.txt").write_text(text.replace("\n", "\n\n"), encoding="utf-8")
    (tmp_path / "graph.tsv").write_text("人\t是\t天\n一\t二\t三\n", encoding="utf-8")


@pytest.mark.usefixtures("sample")
def test_workers_and_blocks_change_nothing(
    make_config: MakeConfig, chinese_tokenizer: ErnieTokenizer, tmp_path: Path
) -> None:
    found = []
    for number, (workers, block) in enumerate([(1, 8.0), (2, 0.01), (3, 0.01), (3, 0.002)]):
        config = make_config(output=str(tmp_path / str(number)), block_mb=block, graphs=[{"files": "graph.tsv"}])
        statistics = build_corpus(config, chinese_tokenizer, workers)
        assert statistics["facts"] > 5 and statistics["megabytes a second"] > 0
        found.append(_contents(Path(config.output)))
    assert len(found[0]) > 10
    assert all(contents == found[0] for contents in found[1:])


@pytest.mark.usefixtures("sample")
def test_a_broken_off_build_goes_on(
    make_config: MakeConfig, chinese_tokenizer: ErnieTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_config(output=str(tmp_path / "whole"), block_mb=0.004)
    build_corpus(whole, chinese_tokenizer, 1)
    config = whole.model_copy(update={"output": str(tmp_path / "broken")})
    made: list[str] = []
    make = parts.Maker.make

    def breaking(self: parts.Maker, part: parts.Part, folder: Path) -> object:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(folder.name)
        return make(self, part, folder)

    monkeypatch.setattr(parts.Maker, "make", breaking)
    with pytest.raises(KeyboardInterrupt):
        build_corpus(config, chinese_tokenizer, 1)
    assert not Path(config.output).exists()
    with pytest.raises(UserError, match="broken: holds no corpus .* let it end"):
        open_corpus(config.output)
    first = list(made)
    made.clear()
    with pytest.raises(KeyboardInterrupt):
        build_corpus(config, chinese_tokenizer, 1)
    assert len(first) == 3 and made and not set(first) & set(made)
    monkeypatch.setattr(parts.Maker, "make", make)
    build_corpus(config, chinese_tokenizer, 1)
    assert _contents(Path(config.output)) == _contents(Path(whole.output))
    # Of a changed text nothing is taken over.
    monkeypatch.setattr(parts.Maker, "make", breaking)
    other = whole.model_copy(update={"output": str(tmp_path / "other")})
    made.clear()
    with pytest.raises(KeyboardInterrupt):
        build_corpus(other, chinese_tokenizer, 1)
    os.utime(tmp_path / "a.txt", (1, 1))
    made.clear()
    with pytest.raises(KeyboardInterrupt):
        build_corpus(other, chinese_tokenizer, 1)
    assert made == [f"part_{number:06d}" for number in range(3)]


def test_windows(build: Build, tmp_path: Path) -> None:
    rng = random.Random(0)
    documents = [["天" * rng.randrange(1, 12) + "。" for _ in range(rng.randrange(1, 30))] for _ in range(30)]
    (tmp_path / "a.txt").write_text("\n\n".join("\n".join(d) for d in documents), encoding="utf-8")
    corpus = build(cleaning={"min_words": 0, "collapse_characters": False, "collapse_paragraphs": False})
    lengths = np.diff(corpus.sentences).tolist()
    for length in (1, 8, 20, 1000):
        expected = []
        for first, last in pairwise(corpus.documents.tolist()):
            while first < last:
                end = first + 1
                while end < last and sum(lengths[first : end + 1]) <= length:
                    end += 1
                expected.append([first, end])
                first = end
        assert corpus.windows(length).tolist() == expected


def test_draws_follow_the_weights(build: Build, tmp_path: Path) -> None:
    names = "abcd"
    for name, text in zip(names, ("天地。", "玄黄。\n\n宇宙。", "洪荒。\n\n日月。", "盈昃。"), strict=True):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    weights = dict(zip(names, (2, 1, 3, 0), strict=True))
    corpus = build(sources=[{"name": n, "files": f"{n}.txt", "weight": w} for n, w in weights.items()])
    draws = corpus.draws(corpus.windows(10)[:, 0])
    assert [draws.find(number) for number in range(len(draws))] == [
        *((0, 0), (0, 1), (1, 0), (2, 0), (3, 0), (3, 1), (3, 2), (4, 0), (4, 1), (4, 2))
    ]
    twice = corpus.draws(corpus.windows(10)[:, 0], np.array([1, 2, 0, 1, 1, 1]))
    drawn = [twice.find(number)[0] for number in range(len(twice))]
    assert np.bincount(drawn).tolist() == [2, 2, 0, 3, 3]
    with pytest.raises(UserError, match="no source has a weight above 0"):
        corpus.draws(np.array([5]))


def test_processes_that_are_killed_end_the_work() -> None:
    with pytest.raises(UserError, match="a worker process was killed"):
        list(run_jobs(_kill, [0, 1], 2))
    assert sorted(run_jobs(abs, [-1, 2, -3], 2)) == [1, 2, 3]


def _kill(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
