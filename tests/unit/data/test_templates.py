"""Templates of prompts, what they may do, and files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ppernie.data.templates import Rendered, Template, numbered, read_templates
from ppernie.errors import UserError

ROW = {"text": "a ||| b", "label": 1, "words": ["x", "y"], "none": None}


def render(text: str, choices: str | None = None, row: dict[str, Any] = ROW) -> Rendered | None:
    return Template("the template", text, choices)(row, "data.jsonl:3")


def test_what_templates_make() -> None:
    assert render("Say {{text}} ||| {{label + 1}}") == ("Say a ||| b", ("2",), ())
    assert render("{{words | join('-')}} ||| {{answer_choices[label]}}", "no ||| {{words[0]}}{{text}}") == (
        "x-y",
        ("xa ||| b",),
        ("no", "xa ||| b"),
    )
    assert render("{{text}} ||| {{words | join(' ||| ')}}") == ("a ||| b", ("x", "y"), ())
    assert render("{% if label == 0 %} {{text}} ||| no {% endif %}") is None
    assert render("{{text}} ||| {{none or ''}}") is None
    assert render("a ||| {{['p', 'q', 'q'] | most_frequent | choice}}") == ("a", ("q",), ())
    drawn = {render("a ||| {{['p', 'q'] | choice}}") for _ in range(3)}
    assert len(drawn) == 1  # a template of its own each time: the same row, the same choice
    template = Template("t", "a ||| {{range(9) | list | choice}}")
    assert len({template(ROW, "") for _ in range(40)}) > 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{title}} ||| x", "data.jsonl:3: the template does not fit .'title' is undefined.; the columns are: text,"),
        ("{{words[7]}} ||| x", "does not fit"),
        ("{{label / 0}} ||| x", "division by zero"),
        ("{{text + 1}} ||| x", "does not fit"),
        ("{% if %}", "the template: is no template"),
        ("{{text | nothing}} ||| x", "is no template"),
        ("{{text.__class__.__mro__}} ||| x", "does not fit"),
        ("{{''.__class__.__base__.__subclasses__()}} ||| x", "does not fit"),
        ("{{self.__init__.__globals__}} ||| x", "does not fit"),
        ("{% include '/etc/passwd' %} ||| x", "does not fit"),
        ("{% for n in range(10**7) %}{% endfor %} ||| x", "does not fit"),
        ("{% macro f() %}{{f()}}{% endmacro %}{{f()}} ||| x", "does not fit"),
    ],
)
def test_a_wrong_or_evil_template(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        render(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("templates: [", "broken YAML"),
        ("templates: !!python/object/apply:os.system ['true']", "broken YAML"),
        ("- a", "no file of PromptSource"),
        ("templates: {a: {jinja: x, name: b}}", "no file of PromptSource"),
        ("templates: {a: {jinja: 3, name: b, answer_choices: null}}", "no file of PromptSource"),
        ("templates: {a: {jinja: '{%', name: b, answer_choices: null}}", "the template 'b' of .*: is no template"),
    ],
)
def test_a_wrong_file_of_templates(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "templates.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_templates(path)


def test_classes_are_numbered() -> None:
    row = ("rows:1", {"a": "yes", "b": "yes"})
    assert numbered(row, {"a": ["no", "yes"]}) == ("rows:1", {"a": 1, "b": "yes"})
    with pytest.raises(UserError, match="rows:1: b is 'yes', which is none of its classes: ja, nein"):
        numbered(row, {"b": ["ja", "nein"]})


def test_all_files_of_promptsource_are_read(shared_data: Path) -> None:
    files = sorted((shared_data / "promptsource_templates").glob("super_glue/*/templates.yaml"))
    assert len(files) >= 8 and all(read_templates(path) for path in files)


@pytest.mark.slow
def test_all_of_promptsource_are_read(shared_data: Path) -> None:
    files = sorted((shared_data / "promptsource_templates").rglob("templates.yaml"))
    assert len(files) > 250 and sum(len(read_templates(path)) for path in files) > 2000
