from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.config.sections import Config
from ppernie.engine.evaluate import evaluate
from ppernie.engine.train import train
from ppernie.errors import UserError
from ppernie.zoo.folder import load_model

TEXT = "张三住在北京市。"
TAGS = ["B-PER", "I-PER", "O", "O", "B-LOC", "I-LOC", "I-LOC", "O"]
# Task, network, options, and rows: ordinary ones, long ones, and one without anything to learn.
TASKS: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    "token_classification": (
        "ErnieForTokenClassification",
        {},
        [{"tokens": [*TEXT] * n, "tags": TAGS * n} for n in (1, 3)] + [{"tokens": [" "], "tags": ["O"]}],
    ),
    "span_extraction": (
        "ErnieForQuestionAnswering",
        {"doc_stride": 4},
        [
            {
                "id": f"{n}",
                "question": "住在哪里？",
                "context": TEXT * n,
                "answers": [{"text": "北京市", "start": 4 + 8 * (n - 1)}],
            }
            for n in (1, 2, 3)
        ],
    ),
    "multiple_choice": (
        "ErnieForMultipleChoice",
        {"choices": 2, "blank": "#"},
        [{"text": f"{TEXT * n}#", "choices": ["上海", "长江"], "label": n % 2} for n in (0, 1, 3)],
    ),
    "cross_similarity": (
        "ErnieForSequenceClassification",
        {"max_score": 5.0},
        [{"text": TEXT, "text_pair": TEXT * n, "label": n} for n in (1, 2, 5)],
    ),
    "dual_similarity": (
        "ErnieDualEncoder",
        {},
        [{"text": TEXT, "text_pair": TEXT * n, "label": n % 2} for n in (1, 2, 3)],
    ),
    "masked_language_modeling": ("ErnieForMaskedLM", {}, [{"text": text} for text in (TEXT, TEXT * 3, " ")]),
}


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("task", TASKS)
def test_every_task_trains_and_its_model_scores_the_same_when_loaded(
    make_config: Callable[..., Config],
    records: Callable[..., list[dict[str, Any]]],
    tmp_path: Path,
    task: str,
    batch_size: int,
) -> None:
    network, options, rows = TASKS[task]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
    config = make_config(
        **{
            "Arch.name": f"ernie3/{network}",
            "Task": {"name": task, **options},
            "Data.train": {"files": "rows.jsonl"},
            "Data.eval": {"files": "rows.jsonl"},
            "Train.batch_size": batch_size,
            "Train.max_steps": 6,
            "Train.epochs": 6,
            "Eval.metric": "loss",
        }
    )
    results = train(config)
    assert all(math.isfinite(r["loss"]) and math.isfinite(r["grad_norm"]) for r in records(config))
    model, loaded, _ = load_model(tmp_path / "run" / "best_model")
    examples = [{**row, "where": "rows"} for row in rows]
    items = [item for example in examples for item in loaded.expand(example, True)]
    model.eval()
    metrics = evaluate(model, loaded, items, 8)
    assert set(metrics) == {*loaded.metric_names, "loss"}
    assert {name: pytest.approx(results[name], abs=1e-5) for name in metrics} == metrics


def test_a_run_starts_from_a_pretrained_encoder(make_config: Callable[..., Config], tmp_path: Path) -> None:
    """The encoder is taken, the head is new; an encoder of another width is refused."""
    train(make_config(**{"Train.max_steps": 1}))
    pretrained = {"Global.pretrained_model": str(tmp_path / "run" / "best_model"), "Data.tokenizer": None}
    (tmp_path / "rows.jsonl").write_text(json.dumps(TASKS["dual_similarity"][2][0]) + "\n", encoding="utf-8")
    changes = {
        **pretrained,
        "Arch.name": "ernie3/ErnieDualEncoder",
        "Task": {"name": "dual_similarity"},
        "Data.train": {"files": "rows.jsonl"},
        "Data.eval": None,
        "Train.max_steps": 1,
        "Global.output_dir": str(tmp_path / "next"),
        "Optimizer.learning_rate": 1e-30,
    }
    train(make_config(**changes))
    first, _, _ = load_model(tmp_path / "run" / "best_model")
    second, _, _ = load_model(tmp_path / "next" / "best_model")
    weights = dict(first.named_parameters())
    for name, parameter in second.named_parameters():
        np.testing.assert_allclose(parameter.numpy(), weights[name].numpy(), rtol=0, atol=1e-20)
    with pytest.raises(UserError, match="is another network than Arch: hidden_size is 16 there and 32 in Arch"):
        train(make_config(**changes | {"Arch.hidden_size": 32, "Global.output_dir": str(tmp_path / "other")}))
