"""Runs over several ranks against the run of one: the same losses, and checkpoints that fit any topology."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

STEPS = 10


def run(values: dict[str, Any], resume: str | None = None) -> list[tuple[float, float]]:
    """Losses and gradient norms of a run's steps, as its log has them."""
    from ppernie.config import parse_config
    from ppernie.engine.train import train

    train(parse_config(values), resume)
    lines = Path(values["Global"]["output_dir"], "train_log.jsonl").read_text(encoding="utf-8").splitlines()
    records = [record for line in lines if (record := json.loads(line))["mode"] == "train"]
    return [(record["loss"], record["grad_norm"]) for record in records]


@pytest.fixture
def values(run_values: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """``values(name, task, batch_size, **distributed)``: the small run, without dropout and with clipping."""

    def make(name: str, task: str, batch_size: int = 4, **distributed: Any) -> dict[str, Any]:
        made = json.loads(json.dumps(run_values))
        made["Global"]["output_dir"] = str(Path(made["Global"]["output_dir"]).with_name(name))
        made["Arch"] |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "vocab_size": 200}
        made["Train"] |= {"batch_size": batch_size, "max_steps": STEPS, "save_every": 5, "keep_last": 5}
        made["Optimizer"] |= {"epsilon": 1e-6, "clip_norm": 0.5}
        made["Distributed"] = distributed
        if task == "mlm":
            made["Arch"]["name"] = "ernie3/ErnieForMaskedLM"
            made["Task"] = {"name": "masked_language_modeling"}
        return made

    return make


# Name, processes, examples a rank of the batch of 4, degrees.
TOPOLOGIES = [
    ("dp2", 2, 2, {}),
    ("mp2", 2, 4, {"mp": 2}),
    ("sharding2", 2, 2, {"sharding": 2}),
    ("mp2-sp-recompute", 2, 4, {"mp": 2, "sequence_parallel": True, "recompute": "full"}),
    pytest.param("dp2-mp2", 4, 2, {"mp": 2}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("task", ["mlm", pytest.param("words", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "processes", "batch_size", "degrees"), TOPOLOGIES)
def test_losses_are_those_of_one_process(
    name: str,
    processes: int,
    batch_size: int,
    degrees: dict[str, Any],
    task: str,
    values: Callable[..., dict[str, Any]],
    launch: Callable[..., Any],
) -> None:
    """With clipping, a tied decoder, padding, and batches of 4 with 3 left at the end of an epoch."""
    alone = run(values("alone", task))
    assert len(alone) == STEPS
    job = launch(run, processes, values(name, task, batch_size, **degrees))
    assert len(job.results[0]) == STEPS
    for found, expected in zip(job.results[0], alone, strict=True):
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("name", "processes", "batch_size", "degrees"), TOPOLOGIES[:3])
def test_a_run_goes_on_under_another_topology(
    name: str,
    processes: int,
    batch_size: int,
    degrees: dict[str, Any],
    values: Callable[..., dict[str, Any]],
    launch: Callable[..., Any],
) -> None:
    alone = values("alone", "mlm")
    losses = run(alone)
    checkpoint = str(Path(alone["Global"]["output_dir"], "checkpoints", "step_00000005"))
    other = values("alone", "mlm", batch_size, **degrees)
    job = launch(run, processes, other, checkpoint)
    assert [loss for loss, _ in job.results[0]] == pytest.approx([loss for loss, _ in losses], rel=1e-5)
    # And back: what several ranks wrote, one goes on with.
    written = values(name, "mlm", batch_size, **degrees)
    launch(run, processes, written)
    checkpoint = str(Path(written["Global"]["output_dir"], "checkpoints", "step_00000005"))
    back = run(values(name, "mlm"), checkpoint)
    assert [loss for loss, _ in back] == pytest.approx([loss for loss, _ in losses], rel=1e-5)
    # Either becomes one model folder, with the same weights.
    first, second = (folder_of(Path(made["Global"]["output_dir"])) for made in (alone, written))
    assert first.keys() == second.keys()
    for parameter, expected in first.items():
        np.testing.assert_allclose(second[parameter], expected, atol=1e-5)


def folder_of(output: Path) -> dict[str, np.ndarray]:
    """Weights of a model folder made of the checkpoint of step 5."""
    from ppernie.engine.gather import gather_checkpoint
    from ppernie.zoo.folder import read_weights

    gather_checkpoint(output / "checkpoints" / "step_00000005", output / "gathered")
    return {name: tensor.read() for name, tensor in read_weights(output / "gathered").items()}


def interrupted(values: dict[str, Any]) -> str:
    """The message of a run of which one rank alone gets SIGTERM."""
    import os
    import signal
    import threading

    from ppernie.config import parse_config
    from ppernie.engine.train import train
    from ppernie.errors import Interrupted

    def stop_after_a_step() -> None:
        log = Path(values["Global"]["output_dir"], "train_log.jsonl")
        while not log.exists() or not log.read_text(encoding="utf-8"):
            threading.Event().wait(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    if os.environ["PADDLE_TRAINER_ID"] == "1":
        threading.Thread(target=stop_after_a_step, daemon=True).start()
    try:
        train(parse_config(values))
    except Interrupted as error:
        return str(error)
    return "ran to its end"


def test_a_signal_to_one_rank_saves_and_ends_all(
    values: Callable[..., dict[str, Any]], launch: Callable[..., Any]
) -> None:
    stopped = values("stopped", "words", 2)
    stopped["Train"] |= {"max_steps": 5000, "epochs": 5000, "save_every": 5000}
    messages = launch(interrupted, 2, stopped).results
    assert messages[0] == messages[1]
    assert "interrupted; saved at step" in messages[0]
    step = int(messages[0].split("step ")[1].split(".")[0])
    folder = Path(stopped["Global"]["output_dir"], "checkpoints", f"step_{step:08d}")
    assert (folder / "COMPLETE").exists() and (folder / "rank_00001.safetensors").exists()


@pytest.mark.parametrize("sequence_parallel", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_runs_with_dropout_repeat_and_recompute_the_same_masks(
    sequence_parallel: bool, values: Callable[..., dict[str, Any]], launch: Callable[..., Any]
) -> None:
    def losses(name: str, recompute: str) -> list[tuple[float, float]]:
        made = values(name, "mlm", mp=2, sequence_parallel=sequence_parallel, recompute=recompute)
        made["Arch"] |= {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2}
        made["Train"]["max_steps"] = 5
        return launch(run, 2, made).results[0]

    first = losses("first", "none")
    assert losses("again", "none") == first
    for found, expected in zip(losses("recomputed", "full"), first, strict=True):
        assert found == pytest.approx(expected, rel=1e-6)
