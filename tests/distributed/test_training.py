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
    """``values(name, task, batch_size, layers, batches, **distributed)``: without dropout and with clipping."""

    def make(
        name: str, task: str, batch_size: int = 4, layers: int = 2, batches: int = 1, **distributed: Any
    ) -> dict[str, Any]:
        made = json.loads(json.dumps(run_values))
        made["Global"]["output_dir"] = str(Path(made["Global"]["output_dir"]).with_name(name))
        made["Arch"] |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "vocab_size": 200}
        made["Arch"]["num_hidden_layers"] = layers
        made["Train"] |= {"batch_size": batch_size, "accumulate_steps": batches, "epochs": batches + 1}
        made["Train"] |= {"max_steps": STEPS, "save_every": 5, "keep_last": 5}
        made["Optimizer"] |= {"epsilon": 1e-6, "clip_norm": 0.5}
        made["Distributed"] = distributed
        if task == "mlm":
            made["Arch"]["name"] = "ernie3/ErnieForMaskedLM"
            made["Task"] = {"name": "masked_language_modeling"}
        if task == "gram":
            # Every stage has the bias of relative positions.
            made["Arch"] |= {"name": "ernie_gram/ErnieGramForMaskedLM", "rel_pos_size": 33}
            made["Task"] = {"name": "masked_language_modeling"}
        return made

    return make


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


SEQUENCE = {"sequence_parallel": True, "recompute": "full"}
# Name, processes, examples a rank of the batch of 4, layers, micro-batches of an update, degrees.
TOPOLOGIES = [
    ("dp2", 2, 2, 2, 1, {}),
    ("mp2", 2, 4, 2, 1, {"mp": 2}),
    ("sharding2", 2, 2, 2, 1, {"sharding": 2}),
    ("sharding2-stage2", 2, 2, 2, 2, {"sharding": 2, "sharding_stage": 2}),
    ("sharding2-stage3", 2, 2, 2, 2, {"sharding": 2, "sharding_stage": 3}),
    ("pp2", 2, 4, 3, 4, {"pp": 2}),
    ("mp2-sp-recompute", 2, 4, 2, 1, {"mp": 2, **SEQUENCE}),
    slow("sharding2-stage3-recompute", 2, 2, 2, 2, {"sharding": 2, "sharding_stage": 3, "recompute": "full"}),
    slow("dp2-sharding2-stage3", 4, 1, 2, 2, {"sharding": 2, "sharding_stage": 3}),
    slow("mp2-sharding2-stage3", 4, 2, 2, 2, {"mp": 2, "sharding": 2, "sharding_stage": 3}),
    slow("mp2-sharding2-stage2-sp", 4, 2, 2, 1, {"mp": 2, "sharding": 2, "sharding_stage": 2, **SEQUENCE}),
    slow("dp2-mp2", 4, 2, 2, 1, {"mp": 2}),
    slow("pp4", 4, 4, 5, 4, {"pp": 4}),
    slow("pp4-interleaved", 4, 4, 8, 8, {"pp": 4, "virtual_stages": 2, "schedule": "interleaved"}),
    slow("pp4-interleaved-few", 4, 4, 9, 4, {"pp": 4, "virtual_stages": 2, "schedule": "interleaved"}),
    slow("mp2-pp2", 4, 4, 2, 2, {"mp": 2, "pp": 2}),
    slow("mp2-pp2-sp-recompute", 4, 4, 3, 4, {"mp": 2, "pp": 2, **SEQUENCE}),
    slow("pp2-sharding2", 4, 2, 2, 4, {"pp": 2, "sharding": 2}),
    slow("dp2-pp2", 4, 2, 2, 3, {"pp": 2}),
]


@pytest.mark.parametrize("task", ["mlm", slow("words"), slow("gram")])
@pytest.mark.parametrize(("name", "processes", "batch_size", "layers", "batches", "degrees"), TOPOLOGIES)
def test_losses_are_those_of_one_process(
    name: str,
    processes: int,
    batch_size: int,
    layers: int,
    batches: int,
    degrees: dict[str, Any],
    task: str,
    values: Callable[..., dict[str, Any]],
    launch: Callable[..., Any],
) -> None:
    """With clipping, a tied decoder, padding, micro-batches of several lengths, and fewer at the end of an epoch."""
    alone = run(values("alone", task, 4, layers, batches))
    assert len(alone) == STEPS
    job = launch(run, processes, values(name, task, batch_size, layers, batches, **degrees))
    assert len(job.results[0]) == STEPS
    for found, expected in zip(job.results[0], alone, strict=True):
        assert found == pytest.approx(expected, rel=1e-5)


# As above, of networks with two layers and updates of two micro-batches.
PAIRED = {
    "alone": (1, 4, {}),
    "mp2": (2, 4, {"mp": 2}),
    "pp2": (2, 4, {"pp": 2}),
    "sharding2": (2, 2, {"sharding": 2}),
    "stage3": (2, 2, {"sharding": 2, "sharding_stage": 3}),
    "mp2-pp2": (4, 4, {"mp": 2, "pp": 2}),
}
FAST = [("alone", "mp2"), ("mp2", "pp2"), ("pp2", "sharding2"), ("sharding2", "stage3"), ("stage3", "alone")]


@pytest.mark.parametrize(
    ("first", "second"),
    [(a, b) if (a, b) in FAST else slow(a, b) for a in PAIRED for b in PAIRED if a != b],
)
def test_a_run_goes_on_under_another_topology(
    first: str, second: str, values: Callable[..., dict[str, Any]], launch: Callable[..., Any]
) -> None:
    def losses(name: str, topology: str, resume: str | None = None) -> list[float]:
        processes, batch_size, degrees = PAIRED[topology]
        made = values(name, "mlm", batch_size, 2, 2, **degrees)
        found = run(made, resume) if processes == 1 else launch(run, processes, made, resume).results[0]
        return [loss for loss, _ in found]

    whole = losses("first", first)
    output = Path(values("first", "mlm")["Global"]["output_dir"])
    # Resumed, a run logs its steps from there on into the same file.
    rest = losses("first", second, str(output / "checkpoints" / "step_00000005"))
    assert len(rest) == len(whole) == STEPS
    assert rest == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("topology", ["mp2", slow("mp2-pp2")])
def test_a_checkpoint_of_any_topology_becomes_one_model_folder(
    topology: str, values: Callable[..., dict[str, Any]], launch: Callable[..., Any]
) -> None:
    processes, batch_size, degrees = PAIRED[topology]
    alone, several = values("alone", "mlm"), values("several", "mlm", batch_size, **degrees)
    run(alone)
    launch(run, processes, several)
    first, second = (folder_of(Path(made["Global"]["output_dir"])) for made in (alone, several))
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


def with_a_slow_rank(values: dict[str, Any]) -> list[str]:
    """What the log says of stragglers, where rank 1 takes its time over every batch."""
    import os
    import time

    from ppernie.tasks.sequence_classification import SequenceClassification

    plain = SequenceClassification.loss
    if os.environ["PADDLE_TRAINER_ID"] == "1":
        SequenceClassification.loss = lambda *arguments: (time.sleep(0.2), plain(*arguments))[1]
    run(values)
    lines = Path(values["Global"]["output_dir"], "train_log.jsonl").read_text(encoding="utf-8").splitlines()
    events = [record for line in lines if (record := json.loads(line))["mode"] == "event"]
    return [event["message"] for event in events if event["kind"] == "straggler"]


def test_a_slow_rank_is_named(values: Callable[..., dict[str, Any]], launch: Callable[..., Any]) -> None:
    messages = launch(with_a_slow_rank, 2, values("slow", "words", 2)).results[0]
    assert len(messages) >= STEPS - 2
    assert all(message.startswith("rank 1 works 0.2") for message in messages[2:])


@pytest.mark.parametrize(
    ("processes", "degrees"),
    [
        (2, {"mp": 2, "sequence_parallel": True}),
        slow(2, {"mp": 2}),
        slow(2, {"pp": 2}),
        slow(4, {"mp": 2, "pp": 2}),
    ],
    ids=str,
)
def test_runs_with_dropout_repeat_and_recompute_the_same_masks(
    processes: int, degrees: dict[str, Any], values: Callable[..., dict[str, Any]], launch: Callable[..., Any]
) -> None:
    def losses(name: str, recompute: str) -> list[tuple[float, float]]:
        made = values(name, "mlm", batches=2, **degrees, recompute=recompute)
        made["Arch"] |= {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2}
        made["Train"]["max_steps"] = 5
        return launch(run, processes, made).results[0]

    first = losses("first", "none")
    assert losses("again", "none") == first
    for found, expected in zip(losses("recomputed", "full"), first, strict=True):
        assert found == pytest.approx(expected, rel=1e-6)
