"""The canonical examples of each task, checked value by value."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ppernie.data.readers.fields import FieldMap
from ppernie.data.readers.files import Row
from ppernie.data.readers.spans import Answers
from ppernie.data.readers.values import index_of, label_of, number_of, text_of, texts_of
from ppernie.errors import UserError

Example = dict[str, Any]
Purpose = Literal["train", "eval", "predict"]
Convert = Callable[[Iterable[Row], FieldMap, Purpose], Iterator[Example]]


@dataclass(frozen=True)
class Canonical:
    """A task's field names, and how raw rows become its examples."""

    names: tuple[str, ...]
    convert: Convert


def _sequence_classification(rows: Iterable[Row], fields: FieldMap, purpose: Purpose) -> Iterator[Example]:
    for where, row in rows:
        example: Example = {"text": fields.text("text", row, where), "where": where}
        if fields.optional("text_pair", row, where) is not None:
            example["text_pair"] = fields.text("text_pair", row, where)
        label = fields.target("label", row, where)
        if label == "-" and "text_pair" in example:
            # Inference data sets mark pairs on which the annotators did not agree so.
            fields.notes.add('rows labelled "-" (no agreed label) dropped', where)
            continue
        if label is not None or purpose != "predict":
            example["label"] = label_of(label, where)
        yield example


def _similarity(rows: Iterable[Row], fields: FieldMap, purpose: Purpose) -> Iterator[Example]:
    for where, row in rows:
        example: Example = {name: fields.text(name, row, where) for name in ("text", "text_pair")}
        example["where"] = where
        label = fields.target("label", row, where)
        if label is not None or purpose != "predict":
            example["label"] = number_of(label, where)
        yield example


def _token_classification(rows: Iterable[Row], fields: FieldMap, purpose: Purpose) -> Iterator[Example]:
    for where, row in rows:
        tokens = fields.target("tokens", row, where)
        if tokens is None:
            yield {"text": fields.text("text", row, where), "where": where}
            continue
        example: Example = {"tokens": texts_of(tokens, "tokens", where), "where": where}
        tags = fields.target("tags", row, where)
        if tags is not None or purpose != "predict":
            example["tags"] = texts_of(tags, "tags", where)
            if len(example["tags"]) != len(example["tokens"]):
                raise UserError(f"{where}: {len(example['tokens'])} tokens but {len(example['tags'])} tags")
        yield example


def _multiple_choice(rows: Iterable[Row], fields: FieldMap, purpose: Purpose) -> Iterator[Example]:
    for where, row in rows:
        text = fields.text("text", row, where)
        choices = texts_of(fields.required("choices", row, where), "choices", where)
        if len(choices) < 2:
            raise UserError(f"{where}: choices must be two or more")
        example: Example = {"text": text, "choices": choices, "where": where}
        label = fields.target("label", row, where)
        if label is not None or purpose != "predict":
            example["label"] = index_of(label, len(choices), where)
        yield example


def _masked_language_modeling(rows: Iterable[Row], fields: FieldMap, purpose: Purpose) -> Iterator[Example]:
    for where, row in rows:
        yield {"text": fields.text("text", row, where), "where": where}


def _text_generation(rows: Iterable[Row], fields: FieldMap, purpose: Purpose) -> Iterator[Example]:
    for where, row in rows:
        example: Example = {"text": fields.text("text", row, where), "where": where}
        target = fields.target("target", row, where)
        if target is not None or purpose != "predict":
            example["target"] = text_of(target, "target", where)
        yield example


def _span_extraction(rows: Iterable[Row], fields: FieldMap, purpose: Purpose) -> Iterator[Example]:
    answers_of = Answers(keep_unlocated=purpose != "train", notes=fields.notes)
    seen: set[str] = set()
    for where, row in rows:
        given = fields.optional("id", row, where)
        identity = where if given is None else str(given)
        if identity in seen and purpose != "train":
            raise UserError(f"{where}: the id {identity} occurs twice, so predictions could not be told apart")
        seen.add(identity)
        context = fields.text("context", row, where)
        example: Example = {
            "id": identity,
            "question": fields.text("question", row, where),
            "context": context,
            "where": where,
        }
        answers = fields.target("answers", row, where)
        if answers is not None or purpose != "predict":
            starts = fields.optional("answer_starts", row, where)
            example["answers"] = answers_of(answers, starts, context, where)
        yield example


CANONICAL: dict[str, Canonical] = {
    "sequence_classification": Canonical(("text", "text_pair", "label"), _sequence_classification),
    "cross_similarity": Canonical(("text", "text_pair", "label"), _similarity),
    "dual_similarity": Canonical(("text", "text_pair", "label"), _similarity),
    "token_classification": Canonical(("text", "tokens", "tags"), _token_classification),
    "multiple_choice": Canonical(("text", "choices", "label"), _multiple_choice),
    "masked_language_modeling": Canonical(("text",), _masked_language_modeling),
    "text_generation": Canonical(("text", "target"), _text_generation),
    "span_extraction": Canonical(("id", "question", "context", "answers", "answer_starts"), _span_extraction),
}
