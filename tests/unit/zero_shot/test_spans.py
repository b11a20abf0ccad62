"""Answers as stretches of the context: the decoding over a real network, and what is read and counted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_zoo.ernie3.universal.zero_shot import Scorer
from ppernie.cli.main import main
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError
from ppernie.zero_shot.prompts import read_prompts
from ppernie.zero_shot.spans import SpanQuestion, answer, answer_length, read_span_questions, span_scores

KEYS = {"kind": "span", "files": "rows.json", "prompt": "{context}问{question}：{label}。"}
ROW = {
    "question": "在哪里？",
    "context": "张三在北京学习，李四在武汉 打扫。王小明 在 天津很好",
    "answers": [{"text": "北京", "answer_start": 3}, {"text": "武汉 打扫", "answer_start": 11}],
}


def read(tmp_path: Path, task_of: Any, *rows: dict[str, Any], **keys: Any) -> list[SpanQuestion]:
    (tmp_path / "rows.json").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return read_span_questions(task_of(**KEYS | keys), str(tmp_path))


@pytest.mark.parametrize(("end", "longest"), [("。", 5), ("", 3), ("。", 40)])
def test_a_wide_beam_finds_the_best_of_all_stretches(
    tmp_path: Path, task_of: Any, network: Any, tokenizer: ErnieTokenizer, end: str, longest: int
) -> None:
    (question,) = read(tmp_path, task_of, ROW, prompt="{context}问{question}：{label}" + end)
    scorer = Scorer(network, tokenizer)
    end_id = tokenizer.encode(end).ids[1] if end else tokenizer.sep_id
    before = tokenizer.encode(f"{ROW['context']}问{ROW['question']}：").ids[:-1]
    encoding = tokenizer.encode(ROW["context"])
    ids, offsets = encoding.ids[1:-1], encoding.offsets[1:-1]
    pairs = [(a, b) for a in range(len(ids)) for b in range(a + 1, min(a + longest, len(ids)) + 1)]
    pairs = [(a, b) for a, b in pairs if end_id not in ids[a:b]]
    # The end counts where there is room for it.
    written = [[*ids[a:b], *([end_id] if b - a < longest else [])] for a, b in pairs]
    likely = scorer.log_likelihoods([before + tokens for tokens in written])
    values = [found[len(before) - 1 :].mean() for found in likely]
    start, stop = pairs[int(np.argmax(values))]
    best = ROW["context"][offsets[start][0] : offsets[stop - 1][1]]
    assert answer(question, scorer, tokenizer, 64, longest) == best
    assert answer(question, scorer, tokenizer, 2, longest) in ROW["context"]


def test_the_writer_shares_the_weights(network: Any, tokenizer: ErnieTokenizer) -> None:
    """What it reads step by step is what the whole network says, past the end of a segment too."""
    import paddle

    text = tokenizer.encode("张三在北京学习，李四在武汉打扫。王小明在天津很好").ids[:-1]
    assert len(text) > network.config.max_position_embeddings
    scorer = Scorer(network, tokenizer)
    (expected,) = scorer.log_likelihoods([text])
    own = {id(parameter) for parameter in network.parameters()}
    assert all(id(parameter) in own for parameter in scorer._writer.parameters())
    state = scorer._writer.start()
    for n, token in enumerate(text[:-1]):
        logits, state = scorer._writer.step(paddle.to_tensor([[token]]), state)
        likely = paddle.nn.functional.log_softmax(logits, axis=-1)[0, text[n + 1]]
        assert float(likely) == pytest.approx(expected[n], abs=1e-4)


def test_the_answers_limit_the_length(tmp_path: Path, task_of: Any, tokenizer: ErnieTokenizer) -> None:
    rows = [ROW | {"answers": [{"text": "张三在北京学习"[:n], "answer_start": 0}]} for n in (1, 1, 1, 1, 1, 1, 6)]
    questions = read(tmp_path, task_of, *rows)
    assert answer_length(questions, tokenizer) == math.ceil(np.percentile([1, 1, 1, 1, 1, 1, 6], 95)) == 5
    asked = []

    class Asked:
        def span(self, prompt: Any, context: list[int], **options: Any) -> list[int]:
            asked.append(options)
            return context[:2]

    found = span_scores(task_of(**KEYS), questions, Asked(), tokenizer)
    assert {options["max_new_tokens"] for options in asked} == {5} and {options["beams"] for options in asked} == {8}
    # Of 张三 the six answers 张 are half, the longest a third, counted as CMRC 2018 does.
    assert found == {
        "exact_match": 0.0,
        "f1": pytest.approx((6 * 2 / 3 + 2 * 2 / 8) / 7),
    }
    span_scores(task_of(**KEYS, max_answer_length=2, beams=3), questions, Asked(), tokenizer)
    assert asked[-1]["max_new_tokens"] == 2 and asked[-1]["beams"] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context": " "}, "rows.json:1: the context is empty"),
        ({"context": 3}, "context must be a text"),
        ({"answers": []}, "rows.json:1: has no answer"),
        ({"answers": ["北京"]}, "answers must be a list of"),
        ({"question": None}, "question must be a text"),
    ],
)
def test_wrong_rows(tmp_path: Path, task_of: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, task_of, ROW | change)


def test_a_context_without_tokens(tmp_path: Path, task_of: Any, lot: Any, tokenizer: ErnieTokenizer) -> None:
    (question,) = read(tmp_path, task_of, ROW | {"context": "。。"})
    with pytest.raises(UserError, match="rows.json:1: the context '。。' has no token for an answer"):
        answer(question, lot, tokenizer, 8, 5)


def test_wrong_keys(task_of: Any) -> None:
    with pytest.raises(UserError, match=r"tasks\.one.*: kind must be choice, passage, perplexity or span"):
        task_of(**KEYS | {"kind": "spam"})
    with pytest.raises(UserError, match=r"tasks\.one\.beam .*: unknown key; did you mean tasks\.one\.beams\?"):
        task_of(**KEYS, beam=8)
    with pytest.raises(UserError, match=r"tasks\.one\.prompt .*must hold \{label\} once"):
        task_of(**KEYS | {"prompt": "{context}"})


def test_one_command_answers_real_questions(
    folder: Path, shared_data: Path, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = repository / "configs" / "ernie3" / "zero_shot" / "reading.yaml"
    tasks = read_prompts(prompts)
    assert len(read_span_questions(tasks["drcd"], str(shared_data))) == 3524  # type: ignore[arg-type]
    assert len(read_span_questions(tasks["cmrc2018"], str(shared_data))) == 1002  # type: ignore[arg-type]
    command = ["zero_shot", "--model", str(folder), "--prompts", str(prompts), "--data", str(shared_data)]
    assert main([*command, "--limit", "2", "--device", "cpu", "--output", str(tmp_path / "t.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["task", "cmrc2018", "drcd"]
    assert lines[0].split() == ["task", "rows", "exact_match", "f1"]
    table = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert all(0 <= row["exact_match"] <= row["f1"] <= 1 and row["rows"] == 2 for row in table.values())
