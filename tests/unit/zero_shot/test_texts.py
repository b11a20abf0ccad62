"""Perplexity of whole texts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.cli.main import main
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError
from ppernie.zero_shot.texts import Text, perplexity, read_texts

WPLC = {
    "kind": "perplexity",
    "files": "rows.json",
    "blank": {"column": "masked_text", "mark": "<mask>"},
    "text": "{before}{correct_word}{after}",
}
ROWS = [
    {"masked_text": "张三在<mask>学习。", "correct_word": "北京"},
    {"masked_text": "我 很<mask>", "correct_word": "好"},
]


def read(tmp_path: Path, task_of: Any, *rows: dict[str, Any], **keys: Any) -> list[Text]:
    (tmp_path / "rows.json").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return read_texts(task_of(**WPLC | keys), str(tmp_path))


def test_the_whole_text_counts(tmp_path: Path, task_of: Any, lot: Any, tokenizer: ErnieTokenizer) -> None:
    texts = read(tmp_path, task_of, *ROWS)
    assert [text for _, text in texts] == ["张三在北京学习。", "我 很好"]
    bits, tokens = 0.0, 0
    for _, text in texts:
        ids = tokenizer.encode(text).ids[:-1]
        bits -= sum(lot.of(ids[: n + 1]) for n in range(1, len(ids))) / math.log(2)
        tokens += len(ids) - 1
    # In the tiny vocabulary every character is a token, so the two are the same but for the space that none is.
    assert perplexity(texts, lot, tokenizer) == {
        "perplexity": pytest.approx(2 ** (bits / tokens)),
        "bits_per_char": pytest.approx(bits / 11),
    }
    assert tokens == 11


def test_every_token_equally_likely_is_a_perplexity_of_the_vocabulary(
    tokenizer: ErnieTokenizer, shared_data: Path
) -> None:
    class Even:
        def log_likelihoods(self, texts: Any) -> list[np.ndarray]:
            return [np.full(len(text) - 1, -math.log(500)) for text in texts]

    document = json.loads((shared_data / "cmrc2018" / "cmrc2018_trial.json").read_text(encoding="utf-8"))
    texts = [Text("here", article["paragraphs"][0]["context"]) for article in document["data"][:20]]
    assert perplexity(texts, Even(), tokenizer)["perplexity"] == pytest.approx(500)


def test_one_command_prints_it(
    folder: Path, tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wplc").mkdir()
    (tmp_path / "wplc" / "valid.json").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    prompts = repository / "configs" / "ernie3" / "zero_shot" / "cloze.yaml"
    command = ["zero_shot", "--model", str(folder), "--prompts", str(prompts), "--data", str(tmp_path)]
    assert main([*command, "--tasks", "wplc", "--device", "cpu", "--output", str(tmp_path / "t.json")]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["task", "rows", "perplexity", "bits_per_char"]
    found = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))["wplc"]
    assert line.split() == ["wplc", "2", f"{found['perplexity']:.2f}", f"{found['bits_per_char']:.2f}"]
    assert math.log2(found["perplexity"]) == pytest.approx(found["bits_per_char"])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"masked_text": "张三", "correct_word": "北京"}, "masked_text must be a text with '<mask>' in it once"),
        ({"masked_text": "<mask>"}, "no column 'correct_word' for the prompt"),
        ({"masked_text": " <mask>", "correct_word": ""}, "rows.json:1: the text is empty"),
    ],
)
def test_wrong_rows(tmp_path: Path, task_of: Any, row: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, task_of, row)


def test_a_text_without_tokens(lot: Any, tokenizer: ErnieTokenizer) -> None:
    with pytest.raises(UserError, match="here: the text '\\\\u200b' has no token"):
        perplexity([Text("here", "\u200b")], lot, tokenizer)
