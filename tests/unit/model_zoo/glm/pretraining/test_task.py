"""The task: what it counts, its losses, and a network that learns from its batches."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from pydantic import ValidationError

from model_zoo.glm.config import GlmConfig
from ppernie import registry
from ppernie.data.corpus import Corpus
from ppernie.data.tokenizers import ErnieTokenizer, GlmTokenizer, Tokenizer
from ppernie.errors import UserError

NAME = "glm/blank_infilling"
KINDS = {
    "rotary_1d": {"normalization": "deepnorm", "feed_forward": "geglu"},
    "rotary_2d": {"normalization": "deepnorm", "feed_forward": "gelu_tanh"},
    "learned_2d": {"normalization": "pre", "feed_forward": "gelu_tanh"},
}


def config(letters: GlmTokenizer, positions: str = "rotary_1d") -> GlmConfig:
    return GlmConfig(
        vocab_size=letters.vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        positions=positions,
        layer_norm_eps=1e-5,
        attention_dropout_prob=0.0,
        hidden_dropout_prob=0.0,
        **KINDS[positions],
    )


@pytest.fixture
def instructions(tmp_path: Path) -> dict[str, Any]:
    rows = "".join(json.dumps({"a": f"what is {n}?", "b": f"it is {n}"}) + "\n" for n in range(30))
    (tmp_path / "rows.jsonl").write_text(rows, encoding="utf-8")
    return {"share": 0.2, "root": str(tmp_path), "sources": [{"files": "rows.jsonl", "template": "{{a}}|||{{b}}"}]}


def make_task(letters: Tokenizer, **options: Any) -> Any:
    task = registry.task_class(NAME)
    return task(task.Options.model_validate(options), letters, 128)


def batch_of(task: Any, corpus: Corpus, arch: GlmConfig, rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    (stream,) = task.streams(corpus, arch).values()
    samples = [stream.sample(row, 128, np.random.default_rng((seed, row))) for row in range(rows)]
    return stream.collate(samples, 128)


def losses_of(task: Any, network: Any, arrays: dict[str, np.ndarray]) -> dict[str, paddle.Tensor]:
    batch = {name: paddle.to_tensor(array) for name, array in arrays.items()}
    return task.losses(network(**{name: batch[name] for name in task.input_names}), batch)


def network_of(arch: GlmConfig) -> Any:
    paddle.seed(0)
    network = registry.arch_class("glm/GlmForBlankInfilling")(arch)
    network.reset_parameters()
    return network


def test_the_loss_is_the_mean_over_all_tokens(
    corpus: Corpus, letters: GlmTokenizer, instructions: dict[str, Any]
) -> None:
    task, arch = make_task(letters, smask=0.1, instructions=instructions), config(letters)
    assert task.objectives == {"tokens": 1.0, "gmask": 0.0, "mask": 0.0, "smask": 0.0, "instructions": 0.0}
    arrays = batch_of(task, corpus, arch, 24)
    parts = ["gmask", "mask", "smask", "instructions"]
    weights = task.weights(arrays)
    assert weights == {"tokens": len(arrays["predicted_positions"]), **{name: len(arrays[name]) for name in parts}}
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((len(arrays["predicted_positions"]), letters.vocab_size)).astype(np.float32)
    labels = np.concatenate([arrays[name] for name in parts])
    each = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]
    outputs = paddle.to_tensor(logits, stop_gradient=False)
    sums = task.losses(outputs, {name: paddle.to_tensor(array) for name, array in arrays.items()})
    borders = np.cumsum([0, *(len(arrays[name]) for name in parts)])
    expected = {name: each[a:b].sum() for name, a, b in zip(parts, borders[:-1], borders[1:], strict=True)}
    assert {name: float(value) for name, value in sums.items()} == pytest.approx(
        {"tokens": each.sum(), **expected}, rel=1e-4
    )
    sums["tokens"].backward()
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    probabilities[np.arange(len(labels)), labels] -= 1
    np.testing.assert_allclose(outputs.grad.numpy(), probabilities, atol=1e-5)
    assert all(sums[name].stop_gradient for name in parts)


@pytest.mark.parametrize("positions", KINDS)
def test_no_sample_of_a_window_sees_another(positions: str, corpus: Corpus, letters: GlmTokenizer) -> None:
    """With other words in the third of four samples, the others' losses stay; the answers of its own see it."""
    task, arch = make_task(letters, gmask=0.0, short_samples=0.0), config(letters, positions)
    arrays = batch_of(task, corpus, arch, 1)
    assert arrays["position_ids"].shape == (1, arch.position_rows, 128)
    network = network_of(arch)
    network.eval()
    changed = dict(arrays, input_ids=arrays["input_ids"].copy())
    changed["input_ids"][0, 64:90] = letters.pad_id
    inputs = [[paddle.to_tensor(a[name]) for name in task.input_names] for a in (arrays, changed)]
    one, other = (network(*values).numpy() for values in inputs)
    apart = np.abs(one - other).max(1)
    third = (arrays["predicted_positions"] >= 64) & (arrays["predicted_positions"] < 96)
    assert apart[~third].max() < 1e-5 < 1e-3 < apart[third].min()


def test_training_lowers_every_loss(corpus: Corpus, letters: GlmTokenizer, instructions: dict[str, Any]) -> None:
    task, arch = make_task(letters, smask=0.1, instructions=instructions), config(letters)
    network = network_of(arch)
    optimizer = paddle.optimizer.AdamW(5e-3, parameters=network.parameters())
    means = []
    for step in range(24):
        arrays = batch_of(task, corpus, arch, 12, step % 2)
        sums, weights = losses_of(task, network, arrays), task.weights(arrays)
        (sums["tokens"] / weights["tokens"]).backward()
        optimizer.step()
        optimizer.clear_grad()
        means.append({name: float(value) / weights[name] for name, value in sums.items()})
    for name in task.objectives:
        early, late = (np.mean([mean[name] for mean in part if name in mean]) for part in (means[:3], means[-5:]))
        assert late < 0.95 * early, (name, early, late)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gmask": 0.8, "smask": 0.3}, "more than 1 together"),
        ({"mask_rate": 0.5}, "mask_rate"),
        ({"instructions": {"sources": []}}, "sources"),
        ({"spans": 3}, "spans"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str, letters: GlmTokenizer) -> None:
    with pytest.raises(ValidationError, match=message):
        make_task(letters, **options)


def test_shares(letters: GlmTokenizer, instructions: dict[str, Any]) -> None:
    options = make_task(letters, instructions=instructions | {"share": 0.05}).options
    assert options.shares == pytest.approx({"gmask": 0.665, "mask": 0.285, "instructions": 0.05})
    assert make_task(letters, gmask=1.0).objectives == {"tokens": 1.0, "gmask": 0.0}


def test_an_evaluation_asks_no_instruction_of_the_training(
    corpus: Corpus, letters: GlmTokenizer, instructions: dict[str, Any]
) -> None:
    task = make_task(letters, gmask=0.0, instructions=instructions | {"share": 0.99, "held_out": 0.3})
    arch = config(letters)

    def questions(streams: Any) -> set[str]:
        (stream,) = streams.values()
        found = [stream.sample(0, 128, np.random.default_rng(seed)) for seed in range(200)]
        windows = [letters.decode(f["input_ids"].tolist()) for f in found if f["objective"] == "instructions"]
        return {question for window in windows for question in re.findall(r"what is \d+\?", window)}

    trained, held_out = questions(task.streams(corpus, arch)), questions(task.evaluation_streams(corpus, arch))
    assert (len(trained), len(held_out)) == (21, 9) and not trained & held_out


def test_a_tokenizer_without_the_masks(letters_without_smask: GlmTokenizer, tokenizer: ErnieTokenizer) -> None:
    make_task(letters_without_smask)
    with pytest.raises(UserError, match="no token for hidden sentences; set Task.smask to 0"):
        make_task(letters_without_smask, smask=0.1)
    with pytest.raises(UserError, match="with a GLM's tokenizer"):
        make_task(tokenizer)
