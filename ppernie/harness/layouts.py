"""Rows of files in the layouts in which evaluation sets are published."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ppernie.data.corpus.reading import Part, read_part
from ppernie.data.corpus.settings import TextSource
from ppernie.data.readers.documents import read_json
from ppernie.data.readers.files import Row, read_document
from ppernie.data.readers.tables import read_csv
from ppernie.errors import UserError

# Long enough that few of its tokens are in the first window, which has nothing before it.
_PASSAGE = 20_000
_MMLU = ["question", "A", "B", "C", "D", "answer"]


def _read_text(path: Path) -> Iterator[Row]:
    yield str(path), {"text": read_document(path)}


def _read_passages(path: Path, *, wrapped: bool) -> Iterator[Row]:
    """A row {text} for each 20,000 characters, in whole paragraphs, as a corpus with ``line_feeds`` has them.

    Args:
        wrapped: whether paragraphs end at blank lines only.
    """
    source = TextSource(name="text", files=str(path), documents="file", wrapped=wrapped)
    paragraphs = (" ".join(p.text.split()) for p in read_part(Part(0, str(path), 0, path.stat().st_size), source))
    held: list[str] = []
    for number, paragraph in enumerate(paragraphs):
        held.append(paragraph)
        if sum(map(len, held)) >= _PASSAGE:
            yield f"{path}: paragraph {number}", {"text": "\n".join(held)}
            held = []
    if held:
        yield f"{path}: the end", {"text": "\n".join(held)}


def _read_mmlu(path: Path) -> Iterator[Row]:
    return read_csv(path, _MMLU, header=False)


def _read_wsc(path: Path) -> Iterator[Row]:
    """SuperGLUE's and CLUE's, what tells of the two spans as columns."""
    for where, values in read_json(path):
        yield where, values | _part(dict, values.get("target"), where, "target")


def _read_multirc(path: Path) -> Iterator[Row]:
    """A row {paragraph, question, answer, label} for each answer that is to be judged."""
    for where, values in read_json(path):
        passage = _part(dict, values.get("passage"), where, "passage")
        for question in _part(list, passage.get("questions"), where, "passage.questions"):
            for answer in _part(list, question.get("answers"), where, "answers"):
                yield (
                    where,
                    {
                        "paragraph": passage.get("text"),
                        "question": question.get("question"),
                        "answer": answer.get("text"),
                        "label": answer.get("label"),
                    },
                )


def _read_record(path: Path) -> Iterator[Row]:
    """A row {passage, query, entities, answers} for each query; entities and answers are texts, each once."""
    for where, values in read_json(path):
        passage = _part(dict, values.get("passage"), where, "passage")
        text = _part(str, passage.get("text"), where, "passage.text")
        # The ends count the last character in.
        entities = [text[e["start"] : e["end"] + 1] for e in _part(list, passage.get("entities"), where, "entities")]
        for query in _part(list, values.get("qas"), where, "qas"):
            yield (
                where,
                {
                    "passage": text,
                    "query": query.get("query"),
                    "entities": list(dict.fromkeys(entities)),
                    "answers": list(dict.fromkeys(answer.get("text") for answer in query.get("answers", []))),
                },
            )


def _read_c3(path: Path) -> Iterator[Row]:
    """A row {context, question, choices, answer} for each question; context is a text of several lines."""
    for number, document in enumerate(_part(list, _parsed(path), str(path), "the document")):
        where = f"{path}[{number}]"
        if not isinstance(document, list) or len(document) < 2:
            raise UserError(f"{where}: a list of texts and a list of questions are expected, not {document!r:.60}")
        context = "\n".join(map(str, _part(list, document[0], where, "the text")))
        for question in _part(list, document[1], where, "the questions"):
            values = _part(dict, question, where, "a question")
            yield (
                where,
                {
                    "context": context,
                    "question": values.get("question"),
                    "choices": values.get("choice"),
                    "answer": values.get("answer"),
                },
            )


def _read_bigbench(path: Path) -> Iterator[Row]:
    """The examples of a ``task.json`` of BIG-bench; ``task_prefix`` and the task's ``description`` are columns too."""
    document = _part(dict, _parsed(path), str(path), "the document")
    shared = {"task_prefix": document.get("task_prefix", ""), "description": document.get("description", "")}
    for number, example in enumerate(_part(list, document.get("examples"), str(path), "examples")):
        where = f"{path}: examples[{number}]"
        yield where, shared | _part(dict, example, where, "an example")


def _parsed(path: Path) -> Any:
    try:
        return json.loads(read_document(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: broken JSON at column {error.colno}: {error.msg}") from None


def _part(kind: type, value: Any, where: str, name: str) -> Any:
    if not isinstance(value, kind):
        raise UserError(
            f"{where}: {name} must be a {kind.__name__}, not {value!r:.60}; is this the layout of the file?"
        )
    return value


LAYOUTS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "rows": read_json,
    "text": _read_text,
    "passages": partial(_read_passages, wrapped=False),
    "wrapped_passages": partial(_read_passages, wrapped=True),
    "mmlu": _read_mmlu,
    "wsc": _read_wsc,
    "multirc": _read_multirc,
    "record": _read_record,
    "c3": _read_c3,
    "bigbench": _read_bigbench,
}
