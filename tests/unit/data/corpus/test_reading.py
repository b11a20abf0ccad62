"""Files as documents and paragraphs, cut into parts anywhere between documents."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

import pytest

from ppernie.data.corpus import reading
from ppernie.data.corpus.reading import read_part, split_parts
from ppernie.data.corpus.settings import TextSource
from ppernie.errors import UserError


def _source(**values: object) -> TextSource:
    return TextSource(**({"name": "a", "files": "a.txt"} | values))  # type: ignore[arg-type]


def _documents(source: TextSource, root: Path, block_bytes: int) -> list[list[str]]:
    documents = []
    for part in split_parts(0, source, str(root), block_bytes):
        for _, paragraphs in groupby(read_part(part, source), key=lambda paragraph: paragraph.document):
            documents.append([paragraph.text for paragraph in paragraphs])
    return documents


TEXT = "\ufeff\n一\r\n二二\n \n\n\n三三三\n\t\n四\n五\n\n"


@pytest.mark.parametrize("block_bytes", [*range(1, 12), 1000])
def test_documents_end_at_blank_lines(block_bytes: int, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(TEXT.encode())
    assert _documents(_source(), tmp_path, block_bytes) == [["一", "二二"], ["三三三"], ["四", "五"]]


def test_a_file_as_a_document(tmp_path: Path) -> None:
    for name in ("a1.txt", "a2.txt"):
        (tmp_path / name).write_bytes(TEXT.encode())
    whole = _source(files="a?.txt", documents="file")
    assert _documents(whole, tmp_path, 5) == [["一", "二二", "三三三", "四", "五"]] * 2
    wrapped = _source(files="a?.txt", documents="file", wrapped=True)
    assert _documents(wrapped, tmp_path, 5) == [["一 二二", "三三三", "四 五"]] * 2


def test_lines_and_objects_of_any_length_come_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIECE_BYTES", 7)
    lines = ["天地玄黄" * 5, "", "a" * 14, "b" * 13, "天" * 7]
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    for block in (1, 20, 1000):
        documents = _documents(_source(), tmp_path, block)
        assert ["".join(document) for document in documents] == [lines[0], "".join(lines[2:])]
        assert max(len(piece.encode()) for document in documents for piece in document) <= 9
    wrapped = _documents(_source(documents="file", wrapped=True), tmp_path, 1000)
    assert "".join(wrapped[0]).replace(" ", "") == "".join(lines)
    (tmp_path / "a.txt").write_text(json.dumps({"text": "a" * 30}), encoding="utf-8")
    assert _documents(_source(format="jsonl"), tmp_path, 1000) == [["a" * 7] * 4 + ["aa"]]


@pytest.mark.parametrize("block_bytes", [1, 30, 1000])
def test_objects(block_bytes: int, tmp_path: Path) -> None:
    rows = [{"t": "天", "p": ["一\n二", "三"]}, {"t": "", "p": []}, {"t": "地", "p": "四"}]
    (tmp_path / "a.txt").write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    source = _source(format="jsonl", text=["t", "p"], title="t")
    paragraphs = [
        (paragraph.title, paragraph.text)
        for part in split_parts(0, source, str(tmp_path), block_bytes)
        for paragraph in read_part(part, source)
    ]
    assert paragraphs == [*(("天", c) for c in "天一二三"), ("", ""), ("地", "地"), ("地", "四")]


def test_a_title_of_null_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text('{"t": null, "p": "一"}', encoding="utf-8")
    source = _source(format="jsonl", text="p", title="t")
    (part,) = split_parts(0, source, str(tmp_path), 100)
    assert [paragraph.title for paragraph in read_part(part, source)] == [None]


@pytest.mark.parametrize("block_bytes", [1, 200, 10_000])
def test_parts_in_percent_share_nothing_and_make_the_whole(block_bytes: int, tmp_path: Path) -> None:
    texts = [[str(number)] for number in range(300)]
    (tmp_path / "a.txt").write_text("".join(json.dumps({"text": text}) + "\n" for (text,) in texts), encoding="utf-8")
    learnt = _documents(_source(format="jsonl", percent=[0, 90]), tmp_path, block_bytes)
    held_out = _documents(_source(format="jsonl", percent=[90, 100]), tmp_path, block_bytes)
    assert 10 < len(held_out) < 50 and sorted(learnt + held_out) == sorted(texts)
    with pytest.raises(ValueError, match="goes with format: jsonl"):
        _source(percent=[0, 90])


@pytest.mark.parametrize("good", [0, 6, 7, 8, 9, 20])
def test_the_byte_that_is_not_utf8_is_named(good: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIECE_BYTES", 7)
    monkeypatch.setattr(reading, "HEAD_BYTES", 3)
    (tmp_path / "a.txt").write_bytes("天地\n玄黄洪荒日月".encode() + b"a" * good + b"\xff\n")
    with pytest.raises(UserError, match=f"a.txt: byte {25 + good} of the file is not UTF-8"):
        _documents(_source(), tmp_path, 1000)


def test_a_character_that_the_end_of_a_file_cuts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("天地".encode()[:-1])
    with pytest.raises(UserError, match="a.txt: byte 3 of the file is not UTF-8"):
        _documents(_source(), tmp_path, 1000)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"text": "a"}\n{"text": ', "a.txt, byte 14: not a line of JSON"),
        (b'{"text": "\xff"}', "a.txt(, byte 0: not a line of JSON|: byte 10 of the file is not UTF-8)"),
        (b"[1]", "a.txt, byte 0: a JSON object is expected"),
        (b'{"body": "a"}', "there is no field 'text'; it has body; set text"),
        (b'{"text": 3}', "text must be a text or a list of texts"),
        (b'{"text": "' + b"a" * 200 + b'"}', "a line of more than 0 MiB, which JSON needs whole"),
    ],
)
def test_broken_objects(line: bytes, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_OBJECT_BYTES", 100)
    (tmp_path / "a.txt").write_bytes(line)
    with pytest.raises(UserError, match=problem):
        _documents(_source(format="jsonl"), tmp_path, 1000)
