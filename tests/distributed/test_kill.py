"""A run of two ranks that is killed at random moments, and started again, ends as one that nobody touched."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.checkpoints import open_checkpoint

KILLS = 100
# More updates than a job can make in the longest life it gets.
STEPS_A_LIFE = 40
LONGEST_LIFE = 0.6
LONGEST_START = 4.0


def run(values: dict[str, Any]) -> None:
    from ppernie.config import parse_config
    from ppernie.engine.train import train

    train(parse_config(values), "auto")


class Killer(threading.Thread):
    """Sends SIGKILL to ranks of the next job, some time after both have begun, or after the first has made a step.

    Args:
        place: where ``launch`` makes the folders of its jobs.
        victims: ranks, in the order in which they die.
        trained: whether the time counts from the job's first step.
        life, between: seconds up to the first death, and between two.
    """

    def __init__(self, place: Path, victims: list[int], trained: bool, life: float, between: float) -> None:
        super().__init__(daemon=True)
        self._place, self._earlier = place, set(place.glob("job*"))
        self._victims, self._trained, self._life, self._between = victims, trained, life, between

    def run(self) -> None:
        while not (job := self._job()):
            time.sleep(0.01)
        time.sleep(self._life)
        for rank in self._victims:
            with contextlib.suppress(ProcessLookupError):  # the launcher may be the faster one
                os.kill(int((job / f"{rank}.pid").read_text()), signal.SIGKILL)
            time.sleep(self._between)

    def _job(self) -> Path | None:
        for job in set(self._place.glob("job*")) - self._earlier:
            begun = [file for file in job.glob("[01].pid") if file.stat().st_size]
            if len(begun) == 2 and (not self._trained or "[Train]" in (job / "logs" / "workerlog.0").read_text()):
                return job
        return None


def newest_step(output: Path) -> int:
    """Of the checkpoints with a marker, after every byte of each has been read and proved."""
    steps = [0]
    for marker in (output / "checkpoints").glob("step_????????/COMPLETE"):
        checkpoint = open_checkpoint(marker.parent)
        steps.append(checkpoint.state["train"]["step"])
        assert marker.parent.name == f"step_{steps[-1]:08d}"
        for tensor in checkpoint.tensors.values():
            assert np.isfinite(tensor.read()).all()
    return max(steps)


def remains(output: Path) -> dict[str, bytes]:
    """The best model's weights, and weights and moments in the newest checkpoint."""
    newest = max((output / "checkpoints").glob("step_????????"))
    files = (output / "best_model" / "model.safetensors", *newest.glob("*.safetensors"))
    return {str(path.relative_to(output)): path.read_bytes() for path in files}


def logged_steps(output: Path) -> list[int]:
    lines = (output / "train_log.jsonl").read_text(encoding="utf-8").splitlines()
    return [record["step"] for line in lines if (record := json.loads(line))["mode"] == "train"]


@pytest.mark.slow
def test_a_run_of_two_ranks_survives_a_hundred_kills(
    run_values: dict[str, Any], tmp_path: Path, launch: Callable[..., Any]
) -> None:
    steps = KILLS * STEPS_A_LIFE
    whole, killed = tmp_path / "whole", tmp_path / "killed"

    def start(output: Path, check: bool = True, **train: Any) -> Any:
        values = {**run_values, "Distributed": {"dp": 2}, "Eval": {"batch_size": 8, "every": 10}}
        values["Global"] = {**run_values["Global"], "output_dir": str(output)}
        values["Train"] = {**run_values["Train"], "batch_size": 2, "epochs": steps, "max_steps": steps, **train}
        return launch(run, 2, values, check=check, timeout=600, PYTHONUNBUFFERED="1")

    start(whole)
    moments, furthest, inside = random.Random(KILLS), 0, 0
    for _ in range(KILLS):
        trained = moments.random() < 0.85
        killer = Killer(
            tmp_path,
            victims=moments.choice([[0], [1], [0, 1], [1, 0]]),
            trained=trained,
            life=moments.uniform(0, LONGEST_LIFE if trained else LONGEST_START),
            between=moments.choice((0, 0.05)),
        )
        killer.start()
        job = start(killed, False, save_every=moments.choice((1, 2)), async_save=moments.random() < 0.5)
        killer.join(10)
        assert not killer.is_alive() and job.status != 0, job.logs
        inside += any((killed / "checkpoints").glob("*.tmp"))
        step = newest_step(killed)
        assert furthest <= step < steps
        furthest = step
    print(f"{inside} of {KILLS} kills left a save half done; {furthest} of {steps} steps were made by then")
    assert inside > KILLS / 10
    start(killed)
    assert remains(killed) == remains(whole)
    assert logged_steps(killed) == logged_steps(whole) == list(range(1, steps + 1))
