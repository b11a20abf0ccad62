"""What fine-tuning takes of a pretrained network, on either branch, with the trunk frozen or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_zoo.ernie3.universal.config import VARIANTS
from ppernie.config.sections import Config
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.engine.train import train
from ppernie.errors import UserError
from ppernie.inference.pipeline import open_pipeline
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import load_model, save_model

SMALL: dict[str, Any] = VARIANTS["tiny"] | {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "initializer_range": 0.1,
    "max_position_embeddings": 32,
    "memory_length": 8,
    "branch_hidden_size": 16,
    "branch_num_layers": 1,
    "branch_intermediate_size": 32,
}
FILES = ("Data.train", "Data.eval")
GENERATION = {"name": "text_generation", "max_target_length": 8}
TEXT = "张三住在北京市。"
TAGGED = [
    {"tokens": [*TEXT] * n, "tags": ["B-PER", "I-PER", "O", "O", "B-LOC", "I-LOC", "I-LOC", "O"] * n} for n in (1, 2)
]
ASKED = [
    {"question": question, "context": TEXT * n, "answers": [{"text": answer, "start": TEXT.find(answer)}]}
    for n in (1, 2)
    for question, answer in (("住在哪里？", "北京市"), ("住在北京的是？", "张三"))
]
# Of each head what a run of it needs beside the others'; a word is to be written again.
RUNS: dict[str, dict[str, Any]] = {
    "ForSequenceClassification": {},
    "ForTokenClassification": {
        "Task": {"name": "token_classification"},
        **dict.fromkeys(FILES, {"files": "tagged.jsonl"}),
    },
    "ForQuestionAnswering": {
        "Task": {"name": "span_extraction", "doc_stride": 4},
        **dict.fromkeys(FILES, {"files": "asked.jsonl"}),
    },
    "ForGeneration": {"Task": GENERATION, "Data.fields": {"text": "text", "target": "text"}},
}


@pytest.fixture
def pretrained(tmp_path: Path, tokenizer: ErnieTokenizer, make_network: Callable[..., Any]) -> Path:
    """A folder as a pretraining run leaves it."""
    network = make_network("ErnieUniversalForPretraining")
    fields = network.config.model_dump()
    description = ModelDescription(
        arch={"name": "ernie3/ErnieUniversalForPretraining", **fields}, task=None, max_length=32
    )
    weights = {name: parameter.numpy() for name, parameter in network.named_parameters()}
    save_model(tmp_path / "pretrained", weights, description, tokenizer, {})
    return tmp_path / "pretrained"


@pytest.fixture
def make_network(tokenizer: ErnieTokenizer) -> Callable[..., Any]:
    def make(name: str) -> Any:
        import paddle

        from ppernie import registry

        paddle.seed(3)
        arch = f"ernie3/{name}"
        network = registry.arch_class(arch)(registry.arch_config(arch)(**SMALL, vocab_size=tokenizer.vocab_size))
        network.reset_parameters()
        return network

    SMALL.pop("vocab_size", None)
    return make


@pytest.fixture
def run_config(make_config: Callable[..., Config], pretrained: Path, tmp_path: Path) -> Callable[..., Config]:
    for name, rows in (("tagged", TAGGED), ("asked", ASKED)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")

    def make(head: str, **changes: Any) -> Config:
        return make_config(
            **{
                "Arch": {"name": f"ernie3/ErnieUniversal{head}"},
                "Global.pretrained_model": str(pretrained),
                "Data.tokenizer": None,
                "Train.max_steps": 2,
            }
            | RUNS[head]
            | changes
        )

    return make


def stored(folder: Path) -> dict[str, np.ndarray]:
    from ppernie.zoo.folder import read_weights

    return {name: np.array(np.asarray(tensor)) for name, tensor in read_weights(folder).items()}


def taken(pretrained: Path, trained: Path) -> set[str]:
    """Parts of the trained network that are the pretrained one's, but for updates too small to matter."""
    before, after = stored(pretrained), stored(trained)
    equal = {n: n in before and np.allclose(before[n], array, rtol=0, atol=1e-20) for n, array in after.items()}
    return {part for part in {n.split(".")[0] for n in after} if all(e for n, e in equal.items() if n.startswith(part))}


@pytest.mark.parametrize("head", RUNS)
def test_a_run_takes_its_branch_and_leaves_the_other(
    run_config: Callable[..., Config], pretrained: Path, tmp_path: Path, head: str
) -> None:
    generates = head == "ForGeneration"
    train(run_config(head, **{"Optimizer.learning_rate": 1e-30, "Train.max_steps": 1}))
    own = {"nlg", "nlg_head"} if generates else {"nlu"}
    assert taken(pretrained, tmp_path / "run" / "best_model") == {"embeddings", "trunk"} | own
    (log,) = (tmp_path / "run").glob("*.log")
    lines = log.read_text(encoding="utf-8").splitlines()
    left = "nlu.layers" if generates else "nlg.layers"
    assert f"'{left}.0.norm1.weight'" in next(line for line in lines if "were left" in line)
    new = [line.partition("newly initialized: ")[2] for line in lines if "newly initialized" in line]
    assert new == ([] if generates else ["['classifier.weight', 'classifier.bias']"])


@pytest.mark.parametrize("head", RUNS)
def test_a_frozen_trunk_stays_and_the_rest_learns(
    run_config: Callable[..., Config], pretrained: Path, tmp_path: Path, head: str
) -> None:
    train(run_config(head, **{"Arch.freeze_trunk": True, "Optimizer.learning_rate": 0.01}))
    assert taken(pretrained, tmp_path / "run" / "best_model") == {"embeddings", "trunk"}


def test_a_frozen_trunk_needs_a_pretrained_one(
    run_config: Callable[..., Config], tokenizer: ErnieTokenizer, tmp_path: Path
) -> None:
    drawn = {"Global.pretrained_model": None, "Data.tokenizer": {"vocab_file": str(tmp_path / "vocab.txt")}}
    head = "ForSequenceClassification"
    arch = {"name": f"ernie3/ErnieUniversal{head}", **SMALL, "vocab_size": tokenizer.vocab_size, "freeze_trunk": True}
    config = run_config(head, **drawn, Arch=arch)
    with pytest.raises(UserError, match="frozen parameters, embeddings.* the first, have drawn values"):
        train(config)


@pytest.mark.parametrize("head", ["ForTokenClassification", "ForQuestionAnswering"])
def test_the_heads_of_tokens_learn(run_config: Callable[..., Config], head: str) -> None:
    still = {"Arch.hidden_dropout_prob": 0.0, "Arch.attention_probs_dropout_prob": 0.0}
    steps = {"Optimizer.learning_rate": 0.01, "Train.max_steps": 60, "Train.epochs": 60, "Eval.every": 60}
    assert train(run_config(head, **still, **steps))["f1"] == 1.0


def test_generation_learns_and_its_folder_answers(run_config: Callable[..., Config], tmp_path: Path) -> None:
    words = {"北京": "上海市。", "学习": "打扫", "一心一意": "千山万水", "张三": "李四"}
    rows = [json.dumps({"text": text, "target": target}) for text, target in words.items()]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows * 10), encoding="utf-8")
    config = run_config(
        "ForGeneration",
        **{
            "Data.fields": {},
            "Data.train": {"files": "rows.jsonl"},
            "Data.eval": {"files": "rows.jsonl", "limit": 4},
            "Arch.hidden_dropout_prob": 0.0,
            "Arch.attention_probs_dropout_prob": 0.0,
            "Optimizer.learning_rate": 0.01,
            "Train.max_steps": 120,
            "Train.epochs": 20,
            "Eval.every": 60,
        },
    )
    results = train(config)
    assert (results["rouge_l"], results["bleu"]) == (1.0, pytest.approx(1.0))
    pipeline = open_pipeline(tmp_path / "run" / "best_model", device="cpu", threads=1)
    answers = list(pipeline.lines([*(text.encode() for text in words), b"\xff"]))
    assert [answer["text"] for answer in answers[:4]] == list(words.values())
    assert "not UTF-8" in answers[4]["error"]


def test_generation_goes_on_where_fine_tuning_left(run_config: Callable[..., Config], tmp_path: Path) -> None:
    """A fine-tuned folder is a start too; of the other branch it has the trunk alone."""
    train(run_config("ForSequenceClassification"))
    again = {"Global.pretrained_model": str(tmp_path / "run" / "best_model"), "Global.output_dir": str(tmp_path / "b")}
    train(run_config("ForSequenceClassification", **again, **{"Optimizer.learning_rate": 1e-30}))
    assert "classifier" in taken(tmp_path / "run" / "best_model", tmp_path / "b" / "best_model")
    again["Global.output_dir"] = str(tmp_path / "c")
    train(run_config("ForGeneration", **again, **{"Optimizer.learning_rate": 1e-30}))
    assert taken(tmp_path / "run" / "best_model", tmp_path / "c" / "best_model") == {"embeddings", "trunk"}


def test_other_labels_need_a_new_head(run_config: Callable[..., Config], tmp_path: Path) -> None:
    train(run_config("ForSequenceClassification"))
    rows = [{"text": "张三", "label": str(n)} for n in range(4)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    changes = {
        "Global.pretrained_model": str(tmp_path / "run" / "best_model"),
        "Global.output_dir": str(tmp_path / "b"),
        "Data.train": {"files": "rows.jsonl"},
        "Data.eval": None,
    }
    with pytest.raises(UserError, match=r"classifier\.bias is \[3\] there and \[4\] here.*new_head"):
        train(run_config("ForSequenceClassification", **changes))
    train(run_config("ForSequenceClassification", **changes | {"Global.new_head": True}))


def test_an_encoder_is_another_kind_of_network(make_config: Callable[..., Config], pretrained: Path) -> None:
    with pytest.raises(UserError, match="is not a network of the kind of ernie3/ErnieForSequenceClassification"):
        arch = {"name": "ernie3/ErnieForSequenceClassification", "variant": "ernie-3.0-nano-zh"}
        train(make_config(**{"Arch": arch, "Global.pretrained_model": str(pretrained), "Data.tokenizer": None}))


def test_the_loaded_generator_repeats_its_reading_for_chosen_rows(make_network: Callable[..., Any]) -> None:
    """Steps after a choice of rows are those of documents that were so from the start, across segments."""
    import paddle

    network = make_network("ErnieUniversalForGeneration")
    network.eval()
    ids = paddle.to_tensor(np.random.default_rng(0).integers(5, 60, (3, 45)))
    rows = paddle.to_tensor([2, 0, 2, 1])
    _, reading = network.step(ids[:, :40], network.start())
    chosen, _ = network.step(ids.index_select(rows)[:, 40:], network.select(reading, rows))
    expected, _ = network.step(ids.index_select(rows), network.start())
    np.testing.assert_allclose(chosen.numpy(), expected.numpy(), rtol=0, atol=1e-5)


def test_a_folder_says_which_task_it_is_for(run_config: Callable[..., Config], tmp_path: Path) -> None:
    train(run_config("ForGeneration"))
    network, task, description = load_model(tmp_path / "run" / "best_model")
    assert (type(network).__name__, description.task_name) == ("ErnieUniversalForGeneration", "text_generation")
    assert task.options.decoding.strategy == "greedy"
