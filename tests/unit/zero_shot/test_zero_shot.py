"""Prompts, questions, scores and answers, each against what its definition says, spelled out."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ppernie import registry
from ppernie.cli.main import main
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError
from ppernie.zero_shot.answers import accuracy, answers, chance
from ppernie.zero_shot.prompts import read_prompts
from ppernie.zero_shot.questions import Question, read_questions
from ppernie.zero_shot.scores import SCORES, score
from ppernie.zero_shot.templates import fill

KINDS = {
    "files": "rows.json",
    "answer": "kind",
    "choices": {"a": "地名", "b": "动词打扫", "c": "学习"},
    "prompt": "{text}。是{label}。",
    "reverse": "{label}：{text}",
    "pair": ["{text}", "是{label}。"],
}
ROWS = [
    {"text": "北京市", "kind": "a"},
    {"text": "张三打扫学习", "kind": "b"},
    # With its prompt longer than a segment of the network.
    {"text": "一心一意千山万水山清水秀海阔天空", "kind": "c"},
]


@pytest.fixture
def questions_of(tmp_path: Path) -> Callable[..., list[Question]]:
    def read(task: dict[str, Any], rows: list[dict[str, Any]], **options: Any) -> list[Question]:
        (tmp_path / "rows.json").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        prompts = yaml.safe_dump({"tasks": {"one": task}}, sort_keys=False)
        (tmp_path / "prompts.yaml").write_text(prompts, encoding="utf-8")
        return read_questions(read_prompts(tmp_path / "prompts.yaml")["one"], str(tmp_path), **options)

    return read


def log_probability(network: Any, ids: list[int], position: int) -> float:
    """Of one token, from a pass over the tokens before it alone."""
    import paddle

    logits = network(document_ids=paddle.to_tensor([ids[:position]]))["document"][0, -1].numpy().astype(np.float64)
    return float(logits[ids[position]] - np.log(np.exp(logits).sum()))


def by_hand(network: Any, tokenizer: ErnieTokenizer, text: str, label: str) -> tuple[float, ...]:
    """The five scores of a choice; in the tiny vocabulary every character is a token."""
    import paddle

    def mean(before: str, scored: str, after: str = "") -> float:
        ids = tokenizer.encode(before + scored + after).ids[:-1]
        first = 1 + len(before)
        return float(np.mean([log_probability(network, ids, p) for p in range(first, first + len(scored))]))

    given = mean(f"{text}。是", label, "。")
    pair = tokenizer.encode(text, f"是{label}。", max_length=network.config.max_position_embeddings)
    distance = network(paddle.to_tensor([pair.ids]), paddle.to_tensor([pair.type_ids]))["distance"][0].numpy()
    return (
        mean("", f"{text}。是{label}。"),
        given,
        mean(label, f"：{text}"),
        given - mean("。是", label),
        float(distance[0]) - math.log(np.exp(distance.astype(np.float64)).sum()),
    )


def test_each_score_is_what_it_says(
    network: Any, tokenizer: ErnieTokenizer, questions_of: Callable[..., list[Question]]
) -> None:
    scorer = registry.arch_zero_shot("ernie3/ErnieUniversalForPretraining")(network, tokenizer)
    found = score(questions_of(KINDS, ROWS), scorer, tokenizer)
    assert tuple(found) == SCORES
    for number, row in enumerate(ROWS):
        for place, label in enumerate(KINDS["choices"].values()):
            ours = [found[name][number][place] for name in SCORES]
            np.testing.assert_allclose(ours, by_hand(network, tokenizer, row["text"], label), rtol=0, atol=1e-4)


def test_scores_over_the_vocabulary_are_of_few_tokens_at_once(
    network: Any, tokenizer: ErnieTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a text is; what is found is the same."""
    scorer = registry.arch_zero_shot("ernie3/ErnieUniversalForPretraining")(network, tokenizer)
    rng = np.random.default_rng(0)
    texts = [rng.integers(5, tokenizer.vocab_size, count).tolist() for count in (70, 1, 9, 10, 3, 33)]
    whole = scorer.log_likelihoods(texts)
    assert [len(found) for found in whole] == [len(text) - 1 for text in texts]
    counts = []
    head = network.nlg_head.forward
    monkeypatch.setattr("model_zoo.ernie3.universal.zero_shot._TOKENS", 16)
    monkeypatch.setattr(network.nlg_head, "forward", lambda *args: counts.append(len(args[1])) or head(*args))
    for found, expected in zip(scorer.log_likelihoods(texts), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert max(counts) == 16 and sum(counts) == sum(len(text) - 1 for text in texts)


def test_a_label_without_tokens_is_an_error(
    network: Any, tokenizer: ErnieTokenizer, questions_of: Callable[..., list[Question]]
) -> None:
    scorer = registry.arch_zero_shot("ernie3/ErnieUniversalForPretraining")(network, tokenizer)
    questions = questions_of(KINDS | {"choices": {"a": " ", "b": "学习", "c": "动词"}}, ROWS)
    with pytest.raises(UserError, match=r"rows.json:1: the label ' ' has no token"):
        score(questions, scorer, tokenizer)
    questions = questions_of(KINDS | {"reverse": "{text}{label}"}, ROWS)
    with pytest.raises(UserError, match=r"nothing follows the label in '北京市地名'"):
        score(questions, scorer, tokenizer)


def test_a_label_knows_its_place() -> None:
    filled = fill("{a}: {label} ({b}) {{}}", {"a": "x", "b": ["y", "z"]}, "here", "right")
    assert filled.text == "x: right (y、z) {}"
    assert filled.text[filled.start : filled.end] == "right"


def test_every_row_has_the_right_choice_and_three_wrong_ones(questions_of: Callable[..., list[Question]]) -> None:
    words = {str(n): f"类{n}" for n in range(8)}
    rows = [{"text": "好", "kind": n % 8} for n in range(400)]
    task = KINDS | {"choices": words, "negatives": 3}
    questions = questions_of(task, rows, seed=1)
    assert questions == questions_of(task, rows, seed=1) != questions_of(task, rows, seed=2)
    for question, row in zip(questions, rows, strict=True):
        labels = [choice.label for choice in question.choices]
        assert labels[question.right] == words[str(row["kind"])]
        assert len(set(labels)) == 4
    few = questions_of(task, rows, seed=1, limit=40)
    assert len(few) == 40 and len({question.where for question in few}) == 40
    # A row's own draws do not depend on the limit, nor do the rows come from the beginning alone.
    assert [question for question in questions if question in few] == few != questions[:40]
    # All wrong ones are drawn, about equally often: 1200 draws over 8 classes.
    counts = [sum(c.label == w for q in questions for c in q.choices) - 50 for w in words.values()]
    assert all(110 < count < 190 for count in counts)
    assert chance(questions) == 0.25


def test_tasks_of_many_classes_have_three_wrong_ones(repository: Path, tmp_path: Path) -> None:
    """IFLYTEK and TNEWS, in their published layouts."""
    rows = {
        "iflytek/dev.json": [
            {"label": "11", "label_des": "薅羊毛", "sentence": "解锁手机可以赚钱"},
            {"label": "118", "sentence": "好"},
        ],
        "fewclue/tnews/dev_few_all.json": [{"label": "109", "label_desc": "news_tech", "sentence": "手机"}],
    }
    right = []
    for file, name in zip(rows, ("cloze", "fewclue"), strict=True):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text("\n".join(map(json.dumps, rows[file])), encoding="utf-8")
        tasks = read_prompts(repository / "configs" / "ernie3" / "zero_shot" / f"{name}.yaml")
        questions = read_questions(tasks["iflytek" if name == "cloze" else "tnews"], str(tmp_path))
        assert all(len({choice.label for choice in question.choices}) == 4 for question in questions)
        right += [question.choices[question.right] for question in questions]
    assert sorted(choice.label for choice in right) == sorted(["薅羊毛", "其他", "科技"])
    assert "解锁手机可以赚钱。这是一款薅羊毛类的应用。" in [choice.prompt.text for choice in right]
    iflytek = read_prompts(repository / "configs" / "ernie3" / "zero_shot" / "cloze.yaml")["iflytek"]
    assert list(iflytek.choices) == [str(number) for number in range(119)] and len(set(iflytek.choices.values())) == 119


def test_the_candidate_stands_in_place_of_the_pronoun(questions_of: Callable[..., list[Question]]) -> None:
    task = {
        "files": "rows.json",
        "layout": "cluewsc",
        "answer": "label",
        "choices": {"true": "{candidate}", "false": "{pronoun}"},
        **dict.fromkeys(("prompt", "reverse"), "{before}{label}{after}"),
        "pair": ["{before}", "{label}{after}"],
    }
    target = {"span1_text": "舌头", "span1_index": 0, "span2_text": "它", "span2_index": 3}
    (question,) = questions_of(task, [{"text": "舌头，它跳了", "target": target, "label": "false"}])
    assert [choice.prompt.text for choice in question.choices] == ["舌头，舌头跳了", "舌头，它跳了"]
    assert question.choices[0].empty.text == "舌头"
    assert question.choices[question.right].label == "它"
    with pytest.raises(UserError, match="no '它' at index 4"):
        questions_of(task, [{"text": "舌头，它跳了", "target": target | {"span2_index": 4}, "label": "false"}])


IDIOMS = {
    "files": "rows.json",
    "answer": "answer",
    "candidates": "idioms",
    "unique": True,
    "blank": {"column": "text", "mark": "#"},
    "prompt": "{before}{label}{after}",
    "reverse": "{label}。{before}，{after}",
    "pair": ["{before}", "{label}{after}"],
}


def test_blanks_of_the_same_idioms_share_them_out(questions_of: Callable[..., list[Question]]) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"text": f"{n}#。", "answer": 0, "idioms": rng.permutation(["甲", "乙", "丙", "丁"]).tolist()} for n in range(3)
    ] + [{"text": "9#。", "answer": 1, "idioms": ["甲", "乙"]}]
    questions = questions_of(IDIOMS, rows)
    assert questions[0].choices[0].prompt.text == f"0{rows[0]['idioms'][0]}。"
    for _ in range(30):
        scores = [rng.normal(size=len(question.choices)) for question in questions]
        chosen = answers(questions, scores)
        best = max(
            itertools.permutations("甲乙丙丁", 3),
            key=lambda labels: sum(scores[n][rows[n]["idioms"].index(label)] for n, label in enumerate(labels)),
        )
        assert tuple(questions[n].choices[chosen[n]].label for n in range(3)) == best
        assert chosen[3] == scores[3].argmax()
    alone = questions_of(IDIOMS | {"unique": False}, rows)
    assert answers(alone, scores) == [int(values.argmax()) for values in scores]
    assert accuracy(alone, [np.eye(len(q.choices))[q.right] for q in alone]) == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choices": None}, "must name one of choices, candidates and words"),
        ({"negatives": 3}, r"negatives \(.*\): needs more than 3 choices"),
        ({"unique": True}, r"unique \(.*\): goes with candidates"),
        ({"prompt": "{text}"}, r"must hold \{label\} once"),
        ({"prompt": "{text.__class__}{label}"}, "without a format"),
        ({"promt": "x"}, r"promt \(.*\): unknown key"),
    ],
)
def test_wrong_prompt_files(questions_of: Callable[..., list[Question]], change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        questions_of(KINDS | change, ROWS)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "北京"}, "rows.json:1: no column 'kind'"),
        ({"kind": "a"}, "rows.json:1: no column 'text' for the prompt"),
        ({"text": "北京", "kind": "z"}, "kind is 'z', for which choices has no words: a, b, c"),
        ({"text": {}, "kind": "a"}, "text must be a text or a list of texts"),
    ],
)
def test_wrong_rows(questions_of: Callable[..., list[Question]], row: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        questions_of(KINDS, [row])


def test_one_command_prints_the_table_of_real_tasks(
    folder: Path, shared_data: Path, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = repository / "configs" / "ernie3" / "zero_shot" / "fewclue.yaml"
    command = ["zero_shot", "--model", str(folder), "--prompts", str(prompts), "--data", str(shared_data)]
    assert main([*command, "--limit", "5", "--output", str(tmp_path / "table.json"), "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["task", "rows", "chance", *SCORES]
    table = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert list(table) == ["tnews", "eprstmt", "ocnli", "bustm", "csl", "chid", "cluewsc"]
    assert [line.split()[0] for line in lines[1:]] == list(table)
    assert {name: row["chance"] for name, row in table.items()} == {
        "tnews": 0.25,
        "eprstmt": 0.5,
        "ocnli": pytest.approx(1 / 3),
        "bustm": 0.5,
        "csl": 0.5,
        "chid": pytest.approx(1 / 7),
        "cluewsc": 0.5,
    }
    assert all(row["rows"] == 5 and {row[name] * 5 % 1 for name in SCORES} == {0.0} for row in table.values())


def test_every_row_of_the_real_tasks_is_a_question(shared_data: Path, repository: Path) -> None:
    tasks = read_prompts(repository / "configs" / "ernie3" / "zero_shot" / "fewclue.yaml")
    counts = {name: len(read_questions(task, str(shared_data))) for name, task in tasks.items()}
    assert counts == {
        "tnews": 1098, "eprstmt": 160, "ocnli": 160, "bustm": 160, "csl": 160, "chid": 202, "cluewsc": 159
    }  # fmt: skip


def test_mistakes_on_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({"tasks": {"kinds": KINDS}}), encoding="utf-8")
    command = ["zero_shot", "--model", str(folder), "--prompts", str(tmp_path / "p.yaml"), "--data", str(tmp_path)]
    assert main([*command, "--tasks", "tnews"]) == 2
    assert "--tasks tnews: " in capsys.readouterr().err
    assert main(command) == 2
    assert "rows.json: no such file" in capsys.readouterr().err
    (tmp_path / "rows.json").write_text(json.dumps(ROWS[0]), encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name, message in (
        ("ErnieUniversalForGeneration", "lacks a branch"),
        ("ErnieForMaskedLM", "no network of this kind scores texts"),
    ):
        fields = {key: config["arch"][key] for key in registry.arch_config(f"ernie3/{name}").model_fields}
        changed = {**config, "arch": {**fields, "name": f"ernie3/{name}"}}
        (folder / "config.json").write_text(json.dumps(changed), encoding="utf-8")
        assert main(command) == 2
        assert message in capsys.readouterr().err
