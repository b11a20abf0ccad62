"""What a user may get wrong, what a disk may refuse, and what became of a corpus's files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from ppernie.data.corpus import Corpus, building, open_corpus
from ppernie.data.corpus.arrays import ArrayWriter
from ppernie.data.corpus.settings import load_corpus_config
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError

Build = Callable[..., Corpus]


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("天地玄黄。宇宙洪荒。\n\n日月。\n", encoding="utf-8")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "blank.txt").write_text(" \n\n \n", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("déjà".encode("latin-1"))
    (tmp_path / "nowhere.tsv").write_text("寒\t来\t暑\n", encoding="utf-8")
    (tmp_path / "apart.tsv").write_text("天\t来\t日\n", encoding="utf-8")
    (tmp_path / "good.tsv").write_text("天\t来\t玄\n", encoding="utf-8")
    (tmp_path / "broken.tsv").write_text("天\t地\n", encoding="utf-8")
    (tmp_path / "words.txt").write_text("\n", encoding="utf-8")


def _source(file: str, **values: Any) -> dict[str, Any]:
    return {"sources": [{"name": "a", "files": file, **values}]}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (_source("absent.txt"), "absent.txt: no such file"),
        (_source("*.md"), "no file matches this pattern"),
        (_source("empty.txt"), "empty.txt: is empty"),
        (_source("blank.txt"), "nothing is left of 5 bytes of text"),
        ({"cleaning": {"min_words": 9}}, "3 sentences were shorter than cleaning.min_words = 9"),
        ({"cleaning": {"min_words": 9}, "graphs": [{"files": "good.tsv"}]}, "3 sentences were shorter than"),
        (_source("latin.txt"), "latin.txt: byte 1 of the file is not UTF-8"),
        (_source("a.txt", format="jsonl"), "a.txt, byte 0: not a line of JSON"),
        ({"graphs": [{"files": "nowhere.tsv"}]}, "nowhere.tsv: none of the graph's names occurs in 42 bytes"),
        ({"graphs": [{"files": "apart.tsv"}]}, "apart.tsv: no sentence names head and tail of a triple of the graph"),
        ({"graphs": [{"files": "good.tsv"}, {"files": ["apart.tsv"]}]}, "apart.tsv: no sentence names head and tail"),
        ({"graphs": [{"files": "broken.tsv"}]}, "broken.tsv:1: 2 columns, and 3 are needed"),
        ({"pairs": [{"files": "broken.tsv"}]}, "broken.tsv:1: broken JSON"),
        ({"segmenter": "jieba", "lexicon": "words.txt"}, "words.txt: holds no words"),
        ({"segmenter": "jieba", "lexicon": "absent.txt"}, "absent.txt: no such file"),
    ],
)
def test_inputs(values: dict[str, Any], problem: str, build: Build, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=problem):
        build(**values)
    assert not (tmp_path / "corpus").exists()


def test_inputs_that_make_no_part_are_found_first(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "run_jobs", lambda *_: pytest.fail("parts are made"))
    for file in ("latin.txt", "absent.txt", "empty.txt"):
        with pytest.raises(UserError):
            build(sources=[{"name": "a", "files": ["a.txt", file]}])
    for more in ({"graphs": [{"files": "broken.tsv"}]}, {"segmenter": "jieba", "lexicon": "words.txt"}):
        with pytest.raises(UserError):
            build(**more)


def test_a_graph_without_names_in_the_texts_is_found_early(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first part of every source, whatever other graphs find, and again when the building goes on."""
    for name in ("b", "c"):
        (tmp_path / f"{name}.txt").write_text("天地玄黄。\n\n" * 8, encoding="utf-8")
    monkeypatch.setattr(building, "_TRIAL_BYTES", 1)
    sources = [{"name": name, "files": f"{name}.txt"} for name in "bca"]
    graphs = [{"files": "good.tsv"}, {"files": "nowhere.tsv"}]
    for _ in range(2):
        with pytest.raises(UserError, match=r"nowhere.tsv: none of the graph's names .* taken from all sources"):
            build(sources=sources, graphs=graphs, block_mb=1e-5)
        assert len(list((tmp_path / "corpus.unfinished").glob("part_*"))) == len(sources)
    # One about a later source is none of them.
    (tmp_path / "a.txt").write_text("寒来暑往。\n", encoding="utf-8")
    counted = build(sources=sources, graphs=graphs, block_mb=1e-5).statistics
    assert counted["facts of nowhere.tsv"] == 1 and counted["names of nowhere.tsv"] == 2
    assert counted["facts of good.tsv"] == 16


def test_an_error_of_a_worker_is_told(build: Build, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("天地。\n\n".encode() * 20_000 + b"\xff")
    with pytest.raises(UserError, match="a.txt: byte 220,000 of the file is not UTF-8"):
        build(workers=2, block_mb=0.05)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk(workers: int, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: ArrayWriter, name: str) -> BinaryIO:
        return self._files.setdefault(name, Path("/dev/full").open("wb"))

    with monkeypatch.context() as patch:
        patch.setattr(ArrayWriter, "_file", full)
        with pytest.raises(UserError, match="the disk is full; free some space and start again"):
            build(workers=workers, block_mb=1e-5)
    assert len(build(workers=workers, block_mb=1e-5).tokens) == 13


def test_an_output_that_is_there(build: Build, tmp_path: Path) -> None:
    build()
    with pytest.raises(UserError, match="corpus: is there already; remove it"):
        build()
    assert not (tmp_path / "corpus.unfinished").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write here"):
        build(output=str(tmp_path / "file" / "corpus"))


def test_another_tokenizer(build: Build, small_tokenizer: ErnieTokenizer) -> None:
    corpus = build()
    corpus.check(small_tokenizer)
    corpus.check(corpus.tokenizer())
    for other in (
        ErnieTokenizer(small_tokenizer.tokens, lowercase=False),
        ErnieTokenizer([*small_tokenizer.tokens, "新"]),
        ErnieTokenizer([*small_tokenizer.tokens[:5], *small_tokenizer.tokens[:4:-1]]),
    ):
        with pytest.raises(UserError, match="was made with another tokenizer, of 40 tokens"):
            corpus.check(other)


def test_damaged_files(build: Build) -> None:
    folder = build().path
    for path in sorted(folder.glob("*.bin")):
        content = path.read_bytes()
        path.write_bytes(content[:-1] if content else b"x")
        with pytest.raises(UserError, match=rf"{path.name}: has \d+ bytes of \d+; the corpus is damaged"):
            open_corpus(folder)
        path.unlink()
        with pytest.raises(UserError, match=f"{path.name}: is absent"):
            open_corpus(folder)
        path.write_bytes(content)
    index = folder / "corpus.json"
    values = json.loads(index.read_text(encoding="utf-8"))
    for change in ({"version": 2}, {"sizes": {}}, {"sizes": values["sizes"] | {"more": 1}}, {"vocab_size": "x"}):
        index.write_text(json.dumps(values | change), encoding="utf-8")
        with pytest.raises(UserError, match="corpus.json: .*run ppernie preprocess again"):
            open_corpus(folder)
    index.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="corpus.json: is broken"):
        open_corpus(folder)
    index.unlink()
    with pytest.raises(UserError, match="holds no corpus"):
        open_corpus(folder)


def test_configs(tmp_path: Path) -> None:
    """All problems of a config come together."""
    values = {"output": "x", "sources": [{"name": "a", "files": "f", "weigth": 2}], "block_mb": 0, "cleaning": {"x": 1}}
    (tmp_path / "c.yaml").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError) as raised:
        load_corpus_config(tmp_path / "c.yaml")
    assert all(
        word in str(raised.value) for word in ("3 problems", "did you mean sources.0.weight?", "block_mb", "cleaning.x")
    )
    good = {"output": "x", "tokenizer": {"vocab_file": "v"}, "sources": [{"name": "a", "files": "f"}] * 2}
    (tmp_path / "c.yaml").write_text(json.dumps(good), encoding="utf-8")
    with pytest.raises(UserError, match="two sources have the same name"):
        load_corpus_config(tmp_path / "c.yaml")
    with pytest.raises(UserError, match="give one of tokenizer.vocab_file, tokenizer.folder and"):
        load_corpus_config(tmp_path / "c.yaml", ["pretrained_model=ernie-3.0-nano-zh"])
