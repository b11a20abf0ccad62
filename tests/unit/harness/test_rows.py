"""Rows of published layouts as questions, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from ppernie.data.corpus.settings import load_corpus_config
from ppernie.errors import UserError
from ppernie.harness import layouts
from ppernie.harness.rows import read_questions
from ppernie.harness.tasks import Task, read_harness

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "glm" / "eval"
YES_NO = {"text": "{{q}}? ||| {{answer_choices[a]}}", "choices": "no ||| yes"}
Make = Callable[..., Task]


def choice(**keys: Any) -> dict[str, Any]:
    return {"kind": "choice", "files": "rows.jsonl", "prompts": {"plain": YES_NO}} | keys


def test_questions_of_every_prompt(task_of: Make, write_rows: Any, tmp_path: Path) -> None:
    write_rows("rows.jsonl", [{"q": "one", "a": 1}, {"q": "two", "a": 0}])
    prompts = {"plain": YES_NO, "other": {"text": "{% if a %}Really {{q}}? ||| B{% endif %}", "choices": "A ||| B"}}
    found = read_questions(task_of(**choice(prompts=prompts)), str(tmp_path))
    assert [(q.text, q.targets, q.choices, q.part) for q in found["plain"]] == [
        ("one?", ("yes",), ("no", "yes"), "rows"),
        ("two?", ("no",), ("no", "yes"), "rows"),
    ]
    assert [q.text for q in found["other"]] == ["Really one?"]


def test_rows_that_are_shown(task_of: Make, write_rows: Any, tmp_path: Path) -> None:
    for subject in ("x_y", "z"):
        write_rows(f"dev/{subject}_dev.jsonl", [{"q": f"{subject}{n}", "a": n % 2} for n in range(3)])
    write_rows("test/x_y_test.jsonl", [{"q": "asked", "a": 1}, {"q": "x_y0", "a": 0}])
    write_rows("test/z_test.jsonl", [{"q": "asked", "a": 1}])
    shots = {"count": 2, "files": "dev/*_dev.jsonl", "header": "About {{name | replace('_', ' ')}}.", "end": "!"}
    task = task_of(**choice(files="test/*_test.jsonl", shots=shots | {"between": "\n"}))
    first, second, third = read_questions(task, str(tmp_path))["plain"]
    assert first.text == "About x y.\nx_y0? no!\nx_y1? yes!\nasked?" and first.part == "x_y"
    # The row that is asked is none of those shown.
    assert second.text == "About x y.\nx_y1? yes!\nx_y2? no!\nx_y0?"
    assert third.text == "About z.\nz0? no!\nz1? yes!\nasked?" and third.part == "z"
    with pytest.raises(UserError, match=r"dev/\*_dev.jsonl has 2 rows to show for x_y, not 3"):
        read_questions(task_of(**choice(files="test/*_test.jsonl", shots=shots | {"count": 3})), str(tmp_path))


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        (
            [{"q": "x", "a": 1}],
            {"prompts": {"p": YES_NO | {"text": "{{w}} ||| x"}}},
            "'w' is undefined.; the columns are: q, a",
        ),
        (
            [{"q": "x"}],
            {"prompts": {"p": YES_NO | {"text": "{{q}} ||| maybe"}}},
            "'maybe' is none of the options: no, yes",
        ),
        ([{"q": "x", "o": ""}], {"prompts": {"p": {"text": "{{q}} ||| a", "choices": "{{o}}"}}}, "0 options of 1"),
        ([{"q": "x", "o": "a"}], {"prompts": {"p": {"text": "{{q}} ||| a", "choices": "{{o}}"}}}, "1 options of 1"),
        ([{"q": "", "a": 1}], {"prompts": {"p": YES_NO | {"text": "{{q}} ||| no"}}}, "leaves out all of 1 rows"),
        ([{"q": "x", "a": 2}], {}, "does not fit .*has no element 2"),
        ([{"q": "x", "a": "c"}], {"classes": {"a": ["no", "yes"]}}, "a is 'c', which is none of its classes"),
        ([{"q": "x", "a": 1}], {"part": "{{area}}"}, "part does not fit"),
        ([{"q": "x", "a": 1}], {"layout": "wsc"}, "target must be a dict, not None; is this the layout"),
        ([{"q": "x", "a": 1}], {"layout": "multirc"}, "passage must be a dict"),
        ([{"q": "x", "a": 1}], {"layout": "bigbench"}, "examples must be a list"),
        ([{"q": "x", "a": 1}], {"files": "none.jsonl"}, "no such file"),
        ([], {}, "is empty"),
    ],
)
def test_wrong_rows(
    rows: list[Any], changes: dict[str, Any], message: str, task_of: Make, write_rows: Any, tmp_path: Path
) -> None:
    write_rows("rows.jsonl", rows)
    with pytest.raises(UserError, match=message):
        read_questions(task_of(**choice(**changes)), str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "span"}, "kind must be choice, generation or language_modelling"),
        ({"prompts": {}}, "needs prompts, or templates"),
        ({"prompts": {"p": {"text": "a ||| b"}}}, "p has no choices"),
        ({"layout": "xml"}, "'xml' is unknown; there are rows, text, passages, wrapped_passages, mmlu"),
        ({"only": ["a"]}, "goes with templates"),
        ({"weights": {"a": 0.0}}, "must be positive"),
        ({"promts": {}}, "did you mean"),
        ({"kind": "generation", "word_follows": True}, "chooses among beams"),
    ],
)
def test_wrong_tasks(changes: dict[str, Any], message: str, task_of: Make) -> None:
    with pytest.raises(UserError, match=message):
        task_of(**choice(**changes))


def write_published(folder: Path) -> None:
    """A row or two of each set that is not at hand, in the layout in which it is published."""
    files: dict[str, str] = {
        "lambada/lambada_test.jsonl": json.dumps({"text": "he saw the fox"}),
        "gsm8k/test.jsonl": json.dumps({"question": "1 + 1?", "answer": "It is\n#### 2"}),
        "gsm8k/train.jsonl": "\n".join(json.dumps({"question": f"{n}?", "answer": f"#### {n}"}) for n in range(4)),
        "mmlu/test/high_school_biology_test.csv": '"Which, ""of"" these?",w,x,y,z,C\n',
        "mmlu/dev/high_school_biology_dev.csv": "".join(f"Q{n}?,w,x,y,z,A\n" for n in range(5)),
        "pile/test.jsonl": json.dumps({"text": "x = 1", "meta": {"pile_set_name": "Github"}}),
        "clue/c3/m-dev.json": json.dumps(
            [[["A: hi", "B: ho"], [{"question": "who?", "choice": ["A", "B"], "answer": "B"}], "1"]]
        ),
        "clue/c3/d-dev.json": json.dumps([[["text"], [{"question": "x?", "choice": ["y", "z"], "answer": "z"}], "2"]]),
        "clue/cluewsc2020/dev.json": json.dumps(
            {"target": {"span1_text": "A", "span2_text": "it", "span1_index": 0, "span2_index": 2}, "text": "A it"}
            | {"label": "true"}
        ),
        "clue/cmnli/dev.json": "\n".join(
            json.dumps({"sentence1": "a", "sentence2": "b", "label": label}) for label in ("-", "neutral")
        ),
        "clue/ocnli/dev.json": json.dumps({"sentence1": "a", "sentence2": "b", "label": "contradiction"}),
        "clue/afqmc/dev.json": json.dumps({"sentence1": "a", "sentence2": "b", "label": "0"}),
    }
    config = read_harness(CONFIGS / "bigbench_lite.yaml")
    scored = {"input": "Q?", "target_scores": {"one": 0, "two": 1, "three": 1}}
    for name, example in (("choice", scored), ("generation", {"input": "Q?", "target": ["a", "b"]})):
        document = json.dumps({"task_prefix": "Do it. ", "examples": [example]})
        files |= {file.replace("*", "sub"): document for file in config.tasks[name].files}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


EXPECTED = {
    ("lambada", "lambada"): ("he saw the", ("fox",), ()),
    ("gsm8k", "gsm8k"): (
        "".join(f"Question: {n}?\nAnswer: #### {n}\n\n" for n in range(4)) + "Question: 1 + 1?\nAnswer:",
        ("It is\n#### 2",),
        (),
    ),
    ("pile", "pile"): ("x = 1", (), ()),
    ("bigbench_lite", "choice"): ("Do it. Q?", ("two", "three"), ("one", "two", "three")),
    ("bigbench_lite", "generation"): ("Do it. Q?", ("a", "b"), ()),
    ("clue", "c3"): ("A: hi\nB: ho\nQuestion: who?\nAnswer:", ("B",), ("A", "B")),
    ("clue", "cmnli"): ('Suppose a Can we infer that "b"? Yes, no, or maybe?', ("Maybe",), ("Yes", "Maybe", "No")),
    ("clue", "cluewsc2020"): (
        'A it In the previous sentence, does the pronoun "it" refer to A? Yes or no?',
        ("Yes",),
        ("No", "Yes"),
    ),
    ("clue", "afqmc"): ("a\nb\nDo these two sentences mean the same?", ("No",), ("No", "Yes")),
}


@pytest.mark.parametrize(("config", "name"), EXPECTED)
def test_shipped_tasks_over_published_layouts(config: str, name: str, tmp_path: Path) -> None:
    write_published(tmp_path)
    task = read_harness(CONFIGS / f"{config}.yaml").tasks[name]
    question = next(iter(read_questions(task, str(tmp_path)).values()))[0]
    assert (question.text, question.targets, question.choices) == EXPECTED[config, name]
    if config == "bigbench_lite" and name == "choice":
        assert question.part == "bbq_lite_json/sub" and len(read_questions(task, str(tmp_path))["plain"]) == len(
            task.files
        )


def test_mmlu_with_five_examples(tmp_path: Path) -> None:
    write_published(tmp_path)
    ((question,),) = read_questions(read_harness(CONFIGS / "mmlu.yaml").tasks["mmlu"], str(tmp_path)).values()
    blocks = question.text.split("\n\n")
    assert blocks[0] == "The following are multiple choice questions about high school biology."
    assert blocks[1:6] == [f"Q{n}?\n(A) w (B) x (C) y (D) z\nAnswer: (A)" for n in range(5)]
    assert blocks[6] == 'Which, "of" these?\n(A) w (B) x (C) y (D) z\nAnswer: ('
    assert (question.targets, question.choices, question.part) == (("C",), tuple("ABCD"), "high_school_biology")


@pytest.mark.parametrize("wrapped", [False, True])
def test_passages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrapped: bool) -> None:
    """Whole paragraphs, as a corpus reads them; nothing is lost or twice."""
    monkeypatch.setattr(layouts, "_PASSAGE", 10)
    (tmp_path / "a.txt").write_text("one \n two\n\n\n three\tfour\nfive\n\nsix", encoding="utf-8")
    rows = layouts.LAYOUTS["wrapped_passages" if wrapped else "passages"](tmp_path / "a.txt")
    texts = [values["text"] for _, values in rows]
    assert texts == (["one two\nthree four five", "six"] if wrapped else ["one\ntwo\nthree four", "five\nsix"])


def test_held_out_texts_are_those_of_the_corpus(repository: Path) -> None:
    corpus = load_corpus_config(repository / "configs/corpora/glm_dev.yaml")
    train = load_corpus_config(repository / "configs/corpora/glm.yaml")
    tasks = read_harness(CONFIGS / "held_out.yaml").tasks.values()
    held_out = {(path, source.wrapped) for source in corpus.sources for path in source.files}
    assert {(task.files, task.layout == "wrapped_passages") for task in tasks} == held_out
    patterns = [p for s in train.sources for p in ([s.files] if isinstance(s.files, str) else s.files)]
    evaluated = [*tasks, *read_harness(CONFIGS / "wikitext2.yaml").tasks.values()]
    assert not [task.files for task in evaluated if any(fnmatch(str(task.files), pattern) for pattern in patterns)]


def test_every_shipped_file_loads() -> None:
    assert len([read_harness(path) for path in sorted(CONFIGS.glob("*.yaml"))]) == 9


def test_shipped_tasks_over_real_data(shared_data: Path) -> None:
    expected = {"fewglue": (8, 8), "wikitext2": (2, 2), "clue": (14, 9), "held_out": (10, 10)}
    for name, (count, here) in expected.items():
        file = read_harness(CONFIGS / f"{name}.yaml")
        assert len(file.tasks) == count
        tasks = [t for n, t in file.tasks.items() if not str(t.files).strip("['").startswith("clue/")]
        found = [read_questions(task, str(shared_data), limit=4) for task in tasks]
        assert len(found) == here and all(found)
