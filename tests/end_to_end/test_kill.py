from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

# More updates than a process can make in the longest life it gets.
STEPS_A_LIFE = 75
LONGEST_LIFE = 0.3


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Reads the process's output up to a line with ``text``."""
    assert process.stdout
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return line
    raise AssertionError(f"the run ended without {text!r}: {''.join(seen)}")


def kill_and_resume(small_training: Callable[[str, int], Any], kills: int, *arguments: str) -> None:
    steps = kills * STEPS_A_LIFE
    whole, killed = small_training("whole", steps), small_training("killed", steps)
    whole.finish()
    moments = random.Random(0)
    for _ in range(kills):
        process = killed.start("--resume", "auto", *arguments)
        if moments.random() < 0.75:
            wait_for(process, "[Train]")
            time.sleep(moments.uniform(0, LONGEST_LIFE))
        else:
            time.sleep(moments.uniform(0, 10 * LONGEST_LIFE))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    killed.finish("--resume", "auto", *arguments)
    assert killed.remains() == whole.remains()
    assert killed.steps() == whole.steps() == list(range(1, steps + 1))


def test_a_run_survives_kills(small_training: Callable[[str, int], Any]) -> None:
    kill_and_resume(small_training, 4)


def test_a_run_that_saves_beside_the_training_survives_kills(small_training: Callable[[str, int], Any]) -> None:
    kill_and_resume(small_training, 2, "-o", "Train.async_save=true", "-o", "Train.save_every=1")


@pytest.mark.slow
def test_a_run_survives_fifty_kills(small_training: Callable[[str, int], Any]) -> None:
    kill_and_resume(small_training, 50)


def test_an_interrupted_run_saves_says_so_and_goes_on(small_training: Callable[[str, int], Any]) -> None:
    """A terminal's Ctrl-C goes to the whole process group; a scheduler's SIGTERM to that or to the process alone."""
    whole, interrupted = small_training("whole", 60), small_training("interrupted", 60)
    whole.finish()
    for number, send, place in (
        (signal.SIGINT, os.killpg, "[Epoch 1/4][Iter 5/16]"),
        (signal.SIGTERM, os.kill, "[Epoch 2/4][Iter 8/16]"),
        (signal.SIGTERM, os.killpg, "[Epoch 3/4][Iter 3/16]"),
    ):
        process = interrupted.start("--resume", "auto", "-o", "Data.workers=1")
        wait_for(process, place)
        send(process.pid, number)
        output, _ = process.communicate()
        assert process.returncode == 130, output
        message = output.strip().splitlines()[-1]
        assert message.startswith("interrupted; saved at step ")
        assert message.endswith("Go on with --resume auto")
        step = int(message.split()[4].rstrip("."))
        assert (interrupted.folder / "checkpoints" / f"step_{step:08d}" / "COMPLETE").exists()
    interrupted.finish("--resume", "auto")
    assert interrupted.remains() == whole.remains()
    assert interrupted.steps() == list(range(1, 61))
