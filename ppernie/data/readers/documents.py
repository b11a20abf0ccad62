"""JSON lines, JSON documents, the nested SQuAD layout, names by identifier, and CLUE's Winograd schema rows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ppernie.data.readers.files import Row, numbered_lines, read_document
from ppernie.errors import UserError


def read_jsonl(path: Path) -> Iterator[Row]:
    """One JSON object a line; blank lines are skipped."""
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}:{number}: broken JSON at column {error.colno}: {error.msg}") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: a JSON object is expected, not {line[:40]}")
        yield f"{path}:{number}", row


def read_json(path: Path) -> Iterator[Row]:
    """JSON lines, a list of objects, or a SQuAD document, whichever the file is."""
    if _is_json_lines(path):
        yield from read_jsonl(path)
        return
    document = _parse(path)
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        yield from _squad_rows(path, document)
        return
    if not isinstance(document, list):
        raise UserError(f"{path}: neither JSON lines, nor a list of objects, nor a SQuAD document")
    for index, row in enumerate(document):
        if not isinstance(row, dict):
            raise UserError(f"{path}[{index}]: a JSON object is expected, not {str(row)[:40]}")
        yield f"{path}[{index}]", row


def read_squad(path: Path) -> Iterator[Row]:
    """One row {id, question, context, answers} a question of a SQuAD document (CMRC 2018, DRCD, SQuAD)."""
    return _squad_rows(path, _parse(path))


def read_names(path: Path) -> dict[str, str]:
    """Names by identifier: of an object whose values are names, lists that begin with one, or objects with label."""
    try:
        return {identifier: _label(value) for identifier, value in _parse(path).items()}
    except (AttributeError, LookupError, TypeError) as error:
        raise UserError(f"{path}: no JSON object from identifiers to names ({error}); correct names") from None


def mark_mentions(row: Row) -> Row:
    """Write a Winograd schema's two spans into its text: `_candidate_` and `[pronoun]`."""
    where, values = row
    try:
        text, target = values["text"], values["target"]
        candidate = (target["span1_index"], target["span1_text"], "_", "_")
        pronoun = (target["span2_index"], target["span2_text"], "[", "]")
        for start, words, _, _ in (candidate, pronoun):
            if not words or text[start : start + len(words)] != words:
                raise UserError(f"{where}: the text has no {words!r} at index {start}")
    except (KeyError, TypeError):
        raise UserError(f"{where}: a cluewsc row has text and target with span1_text, span1_index, ...") from None
    first, second = sorted((candidate, pronoun))
    if first[0] + len(first[1]) > second[0]:
        raise UserError(f"{where}: the two spans overlap")
    # From right to left, for the indices refer to the unmarked text.
    for start, words, opening, closing in (second, first):
        text = f"{text[:start]}{opening}{words}{closing}{text[start + len(words) :]}"
    return where, {**values, "text": text}


def _label(value: Any) -> str:
    return str(value["label"] if isinstance(value, dict) else value[0] if isinstance(value, list) else value)


def _is_json_lines(path: Path) -> bool:
    first = next((line for _, line in numbered_lines(path) if line.strip()), "")
    try:
        row = json.loads(first)
    except json.JSONDecodeError:
        return False
    return isinstance(row, dict) and not isinstance(row.get("data"), list)


def _parse(path: Path) -> Any:
    try:
        return json.loads(read_document(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: broken JSON at column {error.colno}: {error.msg}") from None


def _squad_rows(path: Path, document: Any) -> Iterator[Row]:
    part = ""
    try:
        for i, article in enumerate(document["data"]):
            for j, paragraph in enumerate(article["paragraphs"]):
                part = f"data[{i}].paragraphs[{j}]"
                for question in paragraph["qas"]:
                    row = {key: question[key] for key in ("id", "question", "answers") if key in question}
                    yield f"{path}: question {question['id']}", {**row, "context": paragraph["context"]}
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: {part or 'the document'} is not in the SQuAD layout ({error})") from None
