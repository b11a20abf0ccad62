from __future__ import annotations

import errno
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.config.sections import Config
from ppernie.engine.interrupts import Interrupts
from ppernie.engine.recorder import Recorder
from ppernie.engine.train import train
from ppernie.errors import Interrupted, UserError

Make = Callable[..., Config]


@pytest.mark.parametrize(
    ("step", "changes"),
    [
        (1, {}),
        (10, {}),
        (5, {"Train.accumulate_steps": 3, "Train.epochs": 2, "Train.save_every": 3, "Eval.every": 3}),
        (7, {"Optimizer.layer_decay": 0.8, "Optimizer.clip_norm": 0.1, "Optimizer.schedule.name": "cosine"}),
        (8, {"Train.save_every": 4, "Eval.every": 3, "Train.spike": {"factor": 3.0, "window": 4}}),
        (7, {"Data.eval": None}),
    ],
)
def test_a_run_that_goes_on_equals_one_that_was_never_interrupted(
    make_config: Make,
    tmp_path: Path,
    signal_at: Any,
    records: Any,
    remains: Any,
    assert_equal: Callable[..., None],
    step: int,
    changes: dict[str, Any],
) -> None:
    whole = make_config(**changes, **{"Global.output_dir": str(tmp_path / "whole")})
    expected = train(whole)
    config = make_config(**changes)
    signal_at(step)
    with pytest.raises(Interrupted, match=f"saved at step {step}. Go on with --resume auto"):
        train(config)
    assert train(config, "auto") == expected
    assert_equal(remains(config), remains(whole))
    for mode in ("train", "eval"):
        for left, right in zip(records(config, mode), records(whole, mode), strict=True):
            assert all(left[key] == right[key] for key in ("step", "loss", "lr", "grad_norm") if key in left)


def flip(path: Path) -> None:
    """Turns one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def checkpoint(config: Config, step: int) -> Path:
    return Path(config.Global.output_dir) / "checkpoints" / f"step_{step:08d}"


def test_a_flipped_bit_sends_the_run_to_the_checkpoint_before(
    make_config: Make,
    tmp_path: Path,
    signal_at: Any,
    records: Any,
    remains: Any,
    assert_equal: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = make_config(**{"Global.output_dir": str(tmp_path / "whole")})
    expected = train(whole)
    config = make_config()
    signal_at(12)
    with pytest.raises(Interrupted):
        train(config)
    monkeypatch.undo()  # step 12 comes once more
    flip(checkpoint(config, 12) / "rank_00000.safetensors")
    assert train(config, "auto") == expected
    assert_equal(remains(config), remains(whole))
    assert [record["step"] for record in records(config)] == list(range(1, 21))
    log = (Path(config.Global.output_dir) / "train.log").read_text(encoding="utf-8")
    assert "step_00000012 is damaged (" in log and "Resumed from" in log and "step_00000010" in log


def test_a_named_checkpoint_that_is_damaged_is_refused(make_config: Make) -> None:
    config = make_config()
    train(config)
    flip(checkpoint(config, 15) / "rank_00000.safetensors")
    with pytest.raises(UserError, match="step_00000015: damaged"):
        train(config, str(checkpoint(config, 15)))
    assert checkpoint(config, 15).exists()


def test_with_every_checkpoint_damaged_nothing_starts_anew_by_itself(make_config: Make) -> None:
    config = make_config()
    train(config)
    for step in (15, 20):
        flip(checkpoint(config, step) / "rank_00000.safetensors")
    for _ in range(2):
        with pytest.raises(UserError, match="every checkpoint is damaged"):
            train(config, "auto")


def test_saving_beside_the_training_gives_the_same_run(
    make_config: Make, tmp_path: Path, signal_at: Any, remains: Any, assert_equal: Callable[..., None]
) -> None:
    whole = make_config(**{"Global.output_dir": str(tmp_path / "whole")})
    expected = train(whole)
    config = make_config(**{"Train.async_save": True, "Train.save_every": 1})
    signal_at(7)
    with pytest.raises(Interrupted, match="saved at step 7"):
        train(config)
    assert (checkpoint(config, 7) / "COMPLETE").exists()
    assert train(config, "auto") == expected
    assert_equal(remains(config), remains(whole))


def test_an_early_stopped_run_leaves_a_checkpoint_at_its_last_step(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ppernie.engine import trainer

    values = iter([0.5, 0.4, 0.3, 0.3])  # the last is the evaluation that the resumed run makes again
    monkeypatch.setattr(trainer, "evaluate", lambda *_: {"accuracy": next(values), "loss": 1.0})
    config = make_config(**{"Eval.early_stopping": 2, "Train.save_every": 1000})
    results = train(config)
    assert results["steps"] == 15
    assert (checkpoint(config, 15) / "COMPLETE").exists()
    assert train(config, "auto") == results


def test_early_stopping_is_remembered(make_config: Make, signal_at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ppernie.engine import trainer

    values = iter([0.5, 0.4, 0.3, 0.2])
    monkeypatch.setattr(trainer, "evaluate", lambda *_: {"accuracy": next(values), "loss": 1.0})
    config = make_config(**{"Eval.early_stopping": 2})
    signal_at(12)
    with pytest.raises(Interrupted):
        train(config)
    results = train(config, "auto")
    assert (results["steps"], results["best_step"], results["accuracy"]) == (15, 5, 0.5)


def test_resuming_a_finished_run_gives_its_results_again(
    make_config: Make, remains: Any, assert_equal: Callable[..., None]
) -> None:
    config = make_config(**{"Data.test": {"files": "test.jsonl"}})
    results = train(config)
    before = remains(config)
    log = Path(config.Global.output_dir) / "train_log.jsonl"
    lines = log.read_text(encoding="utf-8")
    assert train(config, "auto") == results
    assert_equal(remains(config), before)
    assert log.read_text(encoding="utf-8") == lines


def test_a_run_that_ends_within_an_evaluation_has_saved_before_and_makes_it_again(
    make_config: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    records: Any,
    remains: Any,
    assert_equal: Callable[..., None],
) -> None:
    from ppernie.engine import trainer

    whole = make_config(**{"Global.output_dir": str(tmp_path / "whole")})
    expected = train(whole)
    config = make_config()

    def end_within_evaluation(step: int, resume: str | None) -> None:
        original = trainer.Trainer._metrics

        def metrics(self: trainer.Trainer) -> dict[str, float]:
            if self.state.step == step:
                raise KeyboardInterrupt
            return original(self)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(trainer.Trainer, "_metrics", metrics)
            train(config, resume)
        assert (checkpoint(config, step) / "COMPLETE").exists()
        assert step not in [record["step"] for record in records(config, "eval")]

    end_within_evaluation(5, None)
    end_within_evaluation(20, "auto")
    assert train(config, "auto") == expected
    assert_equal(remains(config), remains(whole))
    assert [record["step"] for record in records(config)] == list(range(1, 21))
    assert [record["step"] for record in records(config, "eval")] == [5, 10, 15, 20]


def test_resuming_nothing_starts_anew(make_config: Make) -> None:
    assert train(make_config(), "auto")["steps"] == 20


def test_a_run_goes_on_from_a_named_checkpoint(
    make_config: Make, tmp_path: Path, remains: Any, assert_equal: Callable[..., None], records: Any
) -> None:
    config = make_config(**{"Train.keep_last": 9})
    train(config)
    before = remains(config)
    train(config, str(tmp_path / "run" / "checkpoints" / "step_00000010"))
    assert_equal(remains(config), before)
    assert [record["step"] for record in records(config)] == list(range(1, 21))
    with pytest.raises(UserError, match="step_00000007: no such checkpoint"):
        train(config, str(tmp_path / "run" / "checkpoints" / "step_00000007"))


def test_a_run_goes_on_over_the_data_that_it_began_with(make_config: Make, tmp_path: Path, signal_at: Any) -> None:
    config = make_config()
    signal_at(7)
    with pytest.raises(Interrupted):
        train(config)
    eval_file, train_file = tmp_path / "eval.jsonl", tmp_path / "train.jsonl"
    eval_file.write_text("".join(eval_file.read_text(encoding="utf-8").splitlines(True)[:-1]), encoding="utf-8")
    content = train_file.read_text(encoding="utf-8")
    train_file.write_text(content + content.splitlines(True)[0], encoding="utf-8")
    with pytest.raises(UserError, match="over other data: changed since, or not there then, are .*train.jsonl"):
        train(config, "auto")
    train_file.write_text(content, encoding="utf-8")
    assert train(config, "auto")["steps"] == 20


def test_half_a_line_in_the_log_is_dropped(make_config: Make, signal_at: Any, records: Any) -> None:
    config = make_config()
    signal_at(7)
    with pytest.raises(Interrupted):
        train(config)
    with (Path(config.Global.output_dir) / "train_log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"mode": "train", "step": 8}) + '\n{"mode": "tra')
    train(config, "auto")
    assert [record["step"] for record in records(config)] == list(range(1, 21))
    assert all("loss" in record for record in records(config))


def test_a_run_that_ends_while_it_rewinds_the_log_loses_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "train_log.jsonl"
    lines = "".join(json.dumps({"mode": "train", "step": step}) + "\n" for step in range(1, 9))
    log.write_text(lines, encoding="utf-8")
    recorder = Recorder(tmp_path, 10, 8)

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(UserError, match="the disk is full"):
            recorder.rewind(5)
    assert log.read_text(encoding="utf-8") == lines
    recorder.rewind(5)
    recorder.close()
    assert [json.loads(line)["step"] for line in log.read_text(encoding="utf-8").splitlines()] == [1, 2, 3, 4, 5]


def test_signals_wait_for_the_step_and_one_that_comes_later_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with Interrupts() as interrupts:
        assert interrupts.pending is None
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.pending == signal.SIGTERM
        now = 100.5
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert interrupts.pending == signal.SIGTERM
        now = 101.5
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
