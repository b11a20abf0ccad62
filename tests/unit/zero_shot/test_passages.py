"""Passages with several blanks: their layout, and the beam search over ways to fill them."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.cli.main import main
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError
from ppernie.zero_shot.passages import Passage, fill_blanks, passage_scores, read_passages
from ppernie.zero_shot.prompts import read_prompts

PASSAGE = {
    "context_id": "DEV_0",
    "context": "张三[BLANK1]，李四[BLANK2]。王小明[BLANK3]！",
    "choices": ["学习", "在北京", "打扫", "是好的", "很"],
    "answers": [1, 4, 0],
}


def write(tmp_path: Path, *passages: Any) -> None:
    (tmp_path / "cmrc.json").write_text(json.dumps({"data": passages}), encoding="utf-8")


def read(tmp_path: Path, task_of: Any, *, seed: int = 0, limit: int | None = None, **keys: Any) -> list[Passage]:
    return read_passages(task_of(kind="passage", files="cmrc.json", **keys), str(tmp_path), limit, seed)


def mean(scorer: Any, tokenizer: ErnieTokenizer, text: str) -> float:
    (found,) = scorer.log_likelihoods([tokenizer.encode(text).ids[:-1]])
    return float(found.mean())


def ways(passage: Passage) -> list[tuple[int, ...]]:
    return [way for way in itertools.product(*passage.candidates) if len(set(way)) == len(way)]


@pytest.mark.parametrize("negatives", [1, 3, None])
def test_a_wide_beam_finds_the_best_of_all_ways(
    tmp_path: Path, task_of: Any, lot: Any, tokenizer: ErnieTokenizer, negatives: int | None
) -> None:
    # The lots are by text, so each of the passages draws anew.
    write(tmp_path, *({**PASSAGE, "context": f"{n}{PASSAGE['context']}"} for n in range(8)))
    narrow = 0
    for passage in read(tmp_path, task_of, negatives=negatives):
        best = max(ways(passage), key=lambda way: mean(lot, tokenizer, passage.filled(way)))
        assert fill_blanks(passage, lot, tokenizer, beams=200) == best
        found = fill_blanks(passage, lot, tokenizer, beams=1)
        assert found in ways(passage)
        narrow += found != best
    assert narrow or negatives == 1


def test_a_beam_leaves_choices_for_the_blanks_behind(lot: Any, tokenizer: ErnieTokenizer) -> None:
    # Any choice but the right one for a blank leaves a later one without.
    passage = Passage(
        "here", ("张", "三", "李", "四", ""), tuple("一二千万"), ((0, 1, 2, 3), (1, 2), (2,), (2, 3)), (0, 1, 2, 3)
    )
    assert ways(passage) == [(0, 1, 2, 3)]
    lot.texts = 0
    assert fill_blanks(passage, lot, tokenizer, beams=1) == (0, 1, 2, 3)
    assert lot.texts == 4


def test_candidates_are_the_right_choice_and_random_wrong_ones(tmp_path: Path, task_of: Any) -> None:
    many = PASSAGE | {"choices": [f"选{n}" for n in range(9)]}
    write(tmp_path, *[many] * 200)
    passages = read(tmp_path, task_of, seed=1)
    assert passages == read(tmp_path, task_of, seed=1) != read(tmp_path, task_of, seed=2)
    assert passages[0].filled([1, 4]) == "张三选1，李四选4。王小明"
    drawn = np.zeros(9)
    for passage in passages:
        for right, tried in zip(passage.right, passage.candidates, strict=True):
            assert right in tried and len(set(tried)) == 4
            drawn[[n for n in tried if n != right]] += 1
    # 1800 draws; choices that are right once are wrong for 2 blanks, the others for 3.
    assert all(100 < count < 300 for count in drawn)
    few = read(tmp_path, task_of, seed=1, limit=20)
    assert len(few) == 20 and all(passage in passages for passage in few)
    assert [len(tried) for tried in read(tmp_path, task_of, negatives=None)[0].candidates] == [9, 9, 9]


def test_blanks_and_whole_passages_are_counted(tmp_path: Path, task_of: Any, tokenizer: ErnieTokenizer) -> None:
    first, second = PASSAGE, PASSAGE | {"context": "北[BLANK1]", "answers": [3]}
    write(tmp_path, first, second)
    passages = read(tmp_path, task_of, negatives=None)

    class Likes:
        """Two texts: the first passage with its last blank filled wrong, and the second filled wrong."""

        wanted = [tokenizer.encode(text).ids for text in ("张三在北京，李四很。王小明打扫！", "北学习")]

        def log_likelihoods(self, texts: Any) -> list[np.ndarray]:
            return [np.asarray([float(any(text == ids[: len(text)] for ids in self.wanted))]) for text in texts]

    found = passage_scores(passages, Likes(), tokenizer, beams=100)
    assert found == {"chance": pytest.approx(0.2), "questions": 2 / 4, "passages": 0.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context": "没有"}, r"cmrc.json: data\[0\]: context must have the blanks \[BLANK1\].* has \[\]"),
        ({"context": "[BLANK1][BLANK3][BLANK2]"}, r"in order; has \[1, 3, 2\]"),
        ({"context": None}, "context must be a text"),
        ({"choices": ["学习", "打扫"]}, "3 blanks share 2 choices"),
        ({"choices": "学习"}, "choices must be a list of texts"),
        ({"answers": [0, 1]}, r"answers must be a list of 3 indices, one a blank, not \[0, 1\]"),
        ({"answers": [0, 1, 5]}, "an index from 0 to 4, not 5"),
        ({"answers": [0, 1, 0]}, "answers hold an index twice"),
    ],
)
def test_wrong_passages(tmp_path: Path, task_of: Any, change: dict[str, Any], message: str) -> None:
    write(tmp_path, PASSAGE | change)
    with pytest.raises(UserError, match=message):
        read(tmp_path, task_of)


@pytest.mark.parametrize("text", ['{"data": 3}', "[1]", '{"data": [[]]}', '{"data": []}', '{"data": '])
def test_files_of_another_layout(tmp_path: Path, task_of: Any, text: str) -> None:
    (tmp_path / "cmrc.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"cmrc\.json"):
        read(tmp_path, task_of)


def blanked(context: str, count: int, rng: np.random.Generator) -> dict[str, Any] | None:
    """A passage in CMRC 2019's layout, of a real one whose clauses become the choices."""
    clauses = list(re.finditer(r"[^，。？！；：、]{6,20}(?=[，。])", context))
    if len(clauses) < count:
        return None
    order = rng.permutation(count).tolist()
    text, end = "", 0
    for n, clause in enumerate(clauses[:count]):
        text += context[end : clause.start()] + f"[BLANK{n + 1}]"
        end = clause.end()
    choices = [clauses[n].group() for n in order]
    return {"context": text + context[end:], "choices": choices, "answers": [order.index(n) for n in range(count)]}


def test_one_command_fills_real_passages(
    folder: Path, shared_data: Path, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    articles = json.loads((shared_data / "cmrc2018" / "cmrc2018_trial.json").read_text(encoding="utf-8"))["data"]
    contexts = [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]
    rng = np.random.default_rng(0)
    passages = [passage for context in contexts[:40] if (passage := blanked(context, 5, rng))][:3]
    (tmp_path / "cmrc2019").mkdir()
    (tmp_path / "cmrc2019" / "cmrc2019_dev.json").write_text(json.dumps({"data": passages}), encoding="utf-8")
    prompts = repository / "configs" / "ernie3" / "zero_shot" / "cloze.yaml"
    task = read_prompts(prompts)["cmrc2019"]
    for passage, made in zip(read_passages(task, str(tmp_path)), passages, strict=True):  # type: ignore[arg-type]
        assert passage.filled(passage.right) in contexts
        assert passage.filled(passage.right).startswith(made["context"].partition("[")[0])
    command = ["zero_shot", "--model", str(folder), "--prompts", str(prompts), "--data", str(tmp_path)]
    assert main([*command, "--tasks", "cmrc2019", "--device", "cpu", "--output", str(tmp_path / "t.json")]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["task", "rows", "chance", "questions", "passages"]
    assert line.split()[:2] == ["cmrc2019", "3"]
    table = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert table["cmrc2019"]["questions"] * 15 % 1 == pytest.approx(0.0) and table["cmrc2019"]["chance"] == 0.25
