"""Choices that are the words of a passage, and the layout of People Daily and CMRC 2017."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ppernie.cli.main import main
from ppernie.errors import UserError
from ppernie.zero_shot.questions import Question, read_questions

# Importing jieba warns of setuptools' plans.
pytestmark = pytest.mark.filterwarnings("ignore:pkg_resources")

KEYS = {
    "files": "rows",
    "words": "words",
    "answer": "answer",
    "blank": {"column": "query", "mark": "XXXXX"},
    "prompt": "{passage}{before}{label}{after}",
    "reverse": "{label}。{before}，{after}",
    "pair": ["{before}", "{label}{after}"],
}
LINES = """1 ||| 小明 住 在 北京 。
2 ||| XXXXX 很 好 ， 小明 学习 。
<qid_0> ||| XXXXX 很 好 ， 小明 学习 。 ||| 北京
1 ||| 长江 在 武汉 ！
<qid_1> ||| 大 XXXXX ||| 长江
"""


def read(tmp_path: Path, task_of: Any, text: str, **keys: Any) -> list[Question]:
    (tmp_path / "rows").write_text(text, encoding="utf-8")
    return read_questions(task_of(**KEYS, **keys), str(tmp_path))


def test_a_query_is_filled_with_the_words_of_its_passage(tmp_path: Path, task_of: Any) -> None:
    first, second = read(tmp_path, task_of, LINES, layout="people_daily")
    assert [choice.label for choice in first.choices] == ["小明", "住", "在", "北京", "很", "好", "学习"]
    assert first.right == 3 and second.right == 0
    # The sentence that the query repeats stands in the prompt once.
    assert first.choices[3].prompt.text == "小明住在北京。北京很好，小明学习。"
    assert first.choices[3].empty.text == "北京"
    assert [choice.prompt.text for choice in second.choices] == [f"长江在武汉！大{w}" for w in ("长江", "在", "武汉")]


def test_answers_may_lie_in_a_file_beside(tmp_path: Path, task_of: Any) -> None:
    apart = re.sub(r" \|\|\| (北京|长江)$", "", LINES, flags=re.MULTILINE)
    with pytest.raises(UserError, match=r"rows:3: the query has no answer behind it, and there is no .*rows\.answer"):
        read(tmp_path, task_of, apart, layout="people_daily")
    (tmp_path / "rows.answer").write_text("<qid_0> ||| 北京\n<qid_1> ||| 长江\n", encoding="utf-8")
    assert read(tmp_path, task_of, apart, layout="people_daily") == read(
        tmp_path, task_of, LINES, layout="people_daily"
    )
    (tmp_path / "rows.answer").write_text("<qid_0> ||| 北京\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"rows\.answer: no answer to <qid_1>, which .*rows:5 asks"):
        read(tmp_path, task_of, apart, layout="people_daily")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<qid_0> ||| XXXXX ||| 北京", "rows:1: no passage stands before the query"),
        ("小明 住 在 北京 。", r"rows:1: expected 'number \|\|\| sentence'"),
        ("1 ||| 小明 。\n<qid_0> ||| XXXXX ||| 小明", "words must be a passage of two words or more"),
        (LINES.replace("||| 北京", "||| 天津"), "rows:3: answer is '天津', which is no word of words"),
        (LINES.replace("大 XXXXX", "大"), "rows:5: query must be a text with 'XXXXX' in it once"),
        ("1 ||| 小明 住 在 北京 。", "rows: holds no row"),
    ],
)
def test_wrong_files(tmp_path: Path, task_of: Any, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, task_of, text, layout="people_daily")


def test_jieba_cuts_a_passage_that_is_a_text(tmp_path: Path, task_of: Any) -> None:
    import jieba

    passage = "他在北京大学学习中文，每天XXXXX去图书馆。"
    row = {"passage": passage, "words": passage, "query": "XXXXX很大", "answer": "图书馆"}
    (question,) = read(tmp_path, task_of, json.dumps(row))
    labels = [choice.label for choice in question.choices]
    words = dict.fromkeys(jieba.cut(passage, HMM=False))
    assert labels == [word for word in words if word not in ("，", "。", "XXXXX")]
    assert labels[question.right] == "图书馆"
    with pytest.raises(UserError, match="'书馆', which is no word of words; .* given as a list of words"):
        read(tmp_path, task_of, json.dumps(row | {"answer": "书馆"}))
    with pytest.raises(UserError, match="words must be a list of texts, not 7"):
        read(tmp_path, task_of, json.dumps(row | {"words": 7}))


def published(context: str, identity: int) -> str | None:
    """The end of a real passage in the layout of People Daily: a word of the last two sentences is asked for."""
    import jieba

    sentences = [list(jieba.cut(text, HMM=False)) for text in re.findall(r"[^。]+。", context)[-2:]]
    earlier = {word for sentence in sentences[:-1] for word in sentence if len(word) > 1 and word.isalpha()}
    answer = next((word for word in sentences[-1:] and sentences[-1] if word in earlier), None)
    if answer is None:
        return None
    query = sentences[-1].copy()
    query[query.index(answer)] = "XXXXX"
    lines = [f"{n} ||| {' '.join(sentence)}" for n, sentence in enumerate([*sentences[:-1], query], 1)]
    return "\n".join([*lines, f"<qid_{identity}> ||| {' '.join(query)} ||| {answer}", ""])


def test_one_command_answers_real_queries(
    folder: Path, shared_data: Path, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    articles = json.loads((shared_data / "cmrc2018" / "cmrc2018_trial.json").read_text(encoding="utf-8"))["data"]
    contexts = [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]
    texts = [text for n, context in enumerate(contexts) if (text := published(context, n)) and len(text) < 200]
    assert len(texts) >= 2
    (tmp_path / "people_daily").mkdir()
    (tmp_path / "people_daily" / "pd.test").write_text("".join(texts[:2]), encoding="utf-8")
    prompts = repository / "configs" / "ernie3" / "zero_shot" / "cloze.yaml"
    command = ["zero_shot", "--model", str(folder), "--prompts", str(prompts), "--data", str(tmp_path)]
    assert main([*command, "--tasks", "people_daily", "--limit", "1", "--device", "cpu"]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["task", "rows", "chance", "P(x,y)"]
    assert line.split()[:2] == ["people_daily", "1"]
    assert set(line.split()[3:]) <= {"0.0", "100.0"}
