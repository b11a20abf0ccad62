"""Spikes, rollbacks and data that is left out, in whole runs."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ppernie.config.sections import Config, Spike, TrainSection
from ppernie.engine.monitor import Monitor
from ppernie.engine.precision import Precision
from ppernie.engine.recorder import Recorder
from ppernie.engine.stability import Stability, merged
from ppernie.engine.train import train
from ppernie.engine.trainer import Trainer
from ppernie.errors import Interrupted, UserError

Make = Callable[..., Config]
Records = Callable[..., list[dict[str, Any]]]
WATCHED = {
    "Train.spike": {"window": 4, "factor": 4.0, "action": "rollback"},
    "Train.rollback": {"after": 2},
    "Train.epochs": 3,
    "Eval.every": 100,
}


@pytest.fixture
def spike_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the losses of given steps ten times what they are."""

    def arm(*steps: int) -> None:
        original = Stability.accepts

        def accepts(self: Stability, step: int, loss: float, *rest: Any) -> bool:
            return original(self, step, loss * (10 if step in steps else 1), *rest)

        monkeypatch.setattr(Stability, "accepts", accepts)

    return arm


def newest(config: Config) -> dict[str, np.ndarray]:
    """Weights and moments of the last checkpoint."""
    folder = max((Path(config.Global.output_dir) / "checkpoints").glob("step_????????"))
    return load_file(folder / "rank_00000.safetensors") | {"step": np.array(int(folder.name[5:]))}


def test_a_spike_is_far_from_the_median_by_factor_and_by_spread() -> None:
    monitor = Monitor(TrainSection(batch_size=1, spike=Spike(factor=1.5, deviations=10, window=5, action="skip")))
    for loss, norm in ((2.0, 1.0), (2.1, 1.2), (1.9, 0.8), (2.0, 1.1), (2.2, 3.0)):
        assert monitor.judge(loss, norm) == ("ok", "")
    # Losses have the median 2.0, norms 1.1; both a spread of 1.4826 times 0.1, so spikes begin at 3.48 and 2.58.
    assert monitor.judge(3.5, 1.0) == ("skip", "loss 3.5, the recent median is 2 with a spread of 0.15")
    assert monitor.judge(2.0, 2.6)[1].startswith("gradient norm 2.6, the recent median is 1.1")
    assert monitor.judge(3.4, 2.5)[0] == "ok"
    assert monitor.judge(7.0, 1.0)[1].startswith("loss 7, ")
    assert monitor.judge(float("nan"), 1.0) == ("stop", "loss nan, gradient norm 1.0")


def test_ranges_that_meet_become_one() -> None:
    assert merged([(7, 9), (1, 2), (3, 4), (8, 8)]) == [[1, 4], [7, 9]]


def test_a_rollback_ends_like_a_run_that_left_the_steps_out_from_the_start(
    make_config: Make, tmp_path: Path, spike_at: Any, records: Records, assert_equal: Callable[..., None]
) -> None:
    planned = make_config(**WATCHED, **{"Train.skip": [[11, 14]], "Global.output_dir": str(tmp_path / "planned")})
    expected = train(planned)
    spike_at(13, 14)
    config = make_config(**WATCHED)
    results = train(config)
    assert results["skipped"] == expected["skipped"] == [[11, 14]]
    assert_equal(newest(config), newest(planned))
    assert [event["kind"] for event in records(config, "event")] == ["skip", "rollback"]
    for found, wanted in zip(records(config), records(planned), strict=True):
        assert (found["step"], found["loss"]) == (wanted["step"], wanted["loss"])
    text = (Path(config.Global.output_dir) / "train.log").read_text(encoding="utf-8")
    assert "[Rollback][Step 14] loss" in text and "the data up to step 14 left out" in text
    assert "[Skip][Step 11] steps 11 to 14 left out" in (tmp_path / "planned" / "train.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("step", [13, 14, 18])
def test_a_run_that_was_interrupted_around_a_rollback_goes_on_to_the_bit(
    make_config: Make,
    tmp_path: Path,
    spike_at: Any,
    signal_at: Any,
    records: Records,
    assert_equal: Callable[..., None],
    step: int,
) -> None:
    """Within the spike, right after the rollback, and later."""
    spike_at(13, 14)
    whole = make_config(**WATCHED, **{"Global.output_dir": str(tmp_path / "whole")})
    expected = train(whole)
    config = make_config(**WATCHED, **{"Train.keep_last": 3})
    signal_at(step, signal.SIGTERM)
    with pytest.raises(Interrupted, match=f"saved at step {step}"):
        train(config)
    results = train(config, "auto")
    assert results == expected and results["skipped"] == [[11, 14]]
    assert_equal(newest(config), newest(whole))
    assert records(config, "event") == records(whole, "event")


def test_a_run_that_was_killed_after_a_rollback_comes_to_it_again(
    make_config: Make, tmp_path: Path, spike_at: Any, assert_equal: Callable[..., None]
) -> None:
    spike_at(13, 14)
    whole = make_config(**WATCHED, **{"Global.output_dir": str(tmp_path / "whole")})
    expected = train(whole)

    def die(self: Recorder, done: int) -> None:
        if done == 14:
            raise RuntimeError("killed")

    config = make_config(**WATCHED)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(Recorder, "progress", die)
        train(config)
    assert int(newest(config)["step"]) == 10
    assert train(config, "auto") == expected
    assert_equal(newest(config), newest(whole))


def test_spoilt_weights_are_taken_back_beyond_the_checkpoint_that_has_them(
    make_config: Make, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The update of step 10, after which the run saves, spoils the weights without being noticed."""
    original = Trainer._update

    def update(self: Trainer, *arguments: Any) -> Any:
        record = original(self, *arguments)
        if self.state.step + 1 == 10:
            for parameter in self.model.parameters():
                parameter.set_value(parameter * 100.0)
        return record

    monkeypatch.setattr(Trainer, "_update", update)
    config = make_config(**WATCHED)
    results = train(config)
    assert results["skipped"] == [[6, 14]]
    told = [event["message"] for event in records(config, "event") if event["kind"] == "rollback"]
    assert ["of step 10," in told[0], "of step 5," in told[1], len(told)] == [True, True, 2]
    assert (Path(config.Global.output_dir) / "checkpoints" / "step_00000010.damaged").is_dir()
    assert records(config)[-1]["loss"] < 2.0


def test_steps_at_the_end_are_left_out_and_the_run_is_complete(make_config: Make, records: Records) -> None:
    config = make_config(**{"Train.skip": [[3, 3], [18, 99]]})
    results = train(config)
    assert (results["steps"], results["skipped"]) == (20, [[3, 3], [18, 20]])
    assert [record["step"] for record in records(config)] == [1, 2, *range(4, 18)]
    assert records(config, "eval")[-1]["step"] == int(newest(config)["step"]) == 20


def test_steps_after_the_end_cannot_be_left_out(make_config: Make) -> None:
    with pytest.raises(UserError, match=r"Train.skip: \[21, 30\] begins after step 20"):
        train(make_config(**{"Train.skip": [[21, 30]]}))


def test_what_a_checkpoint_has_learned_cannot_be_left_out_any_more(make_config: Make, tmp_path: Path) -> None:
    train(make_config(**{"Train.skip": [[2, 3]], "Train.keep_last": 4}))
    changes = {"Train.skip": [[2, 3], [14, 16]], "Global.output_dir": str(tmp_path / "other")}
    folder = tmp_path / "run" / "checkpoints"
    with pytest.raises(UserError, match=r"\[14, 16\] begins before .* resume from a checkpoint of step 13 or before"):
        train(make_config(**changes), str(folder / "step_00000015"))
    assert train(make_config(**changes), str(folder / "step_00000010"))["skipped"] == [[2, 3], [14, 16]]


def test_overflows_are_left_out_told_and_resumed(
    make_config: Make,
    tmp_path: Path,
    signal_at: Any,
    records: Records,
    assert_equal: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """float16's scale in a float32 run; the gradients of three steps overflow."""

    class Scaled(Precision):
        def __init__(self, section: Any) -> None:
            super().__init__(section.model_copy(update={"growth_interval": 4, "hysteresis": 2}))
            self.dynamic, self.scale = True, 65536.0

    original = Trainer._update

    def update(self: Trainer, micro_batches: Any, recorder: Any) -> Any:
        backward = self.accumulation.backward

        def overflow(batches: Any, scale: float) -> Any:
            losses, _ = backward(batches, scale)
            parameter = next(iter(self.optimizer.parameters.values()))
            parameter.grad.set_value(parameter.grad * float("inf"))
            return losses, float("inf")

        with pytest.MonkeyPatch.context() as patch:
            if self.state.step + 1 in (3, 5, 12):
                patch.setattr(self.accumulation, "backward", overflow)
            return original(self, micro_batches, recorder)

    monkeypatch.setattr("ppernie.engine.trainer.Precision", Scaled)
    monkeypatch.setattr(Trainer, "_update", update)
    whole = make_config(**{"Global.output_dir": str(tmp_path / "whole")})
    expected = train(whole)
    told = [(event["step"], event["message"].rpartition(" ")[2]) for event in records(whole, "event")]
    assert told == [(3, "65536"), (5, "32768"), (9, "65536"), (12, "65536"), (16, "131072"), (20, "262144")]
    scales = {record["step"]: record["loss_scale"] for record in records(whole)}
    assert not {3, 5, 12} & scales.keys() and (scales[4], scales[9], scales[10]) == (65536.0, 32768.0, 65536.0)
    assert all(np.isfinite(value).all() for value in newest(whole).values())
    config = make_config()
    signal_at(4)
    with pytest.raises(Interrupted):
        train(config)
    assert train(config, "auto") == expected
    assert_equal(newest(config), newest(whole))


def test_events_are_marked_in_visualdl(make_config: Make, spike_at: Any) -> None:
    from visualdl import LogReader

    spike_at(13, 14)
    config = make_config(**WATCHED)
    train(config)
    (file,) = (Path(config.Global.output_dir) / "vdl").glob("vdlrecords.*.log")
    reader = LogReader(file_path=str(file))
    marks = {tag: [item.id for item in reader.get_data("scalar", f"event/{tag}")] for tag in ("skip", "rollback")}
    assert marks == {"skip": [13], "rollback": [14]}


def test_a_config_that_says_the_impossible_is_refused(make_config: Make) -> None:
    for changes, message in (
        ({"Train.skip": [[5, 3]]}, r"Train.skip.*\[5, 3\] holds no steps"),
        ({"Train.embedding_gradient": [[9, 0.5], [9, 1.0]]}, "do not ascend"),
        ({"Train.embedding_gradient": [[1, 0.0]]}, "Train.embedding_gradient"),
        ({"Train.embedding_gradient": [[1, 0.1]]}, "ErnieForSequenceClassification has no Arch.embedding_gradient"),
    ):
        with pytest.raises(UserError, match=message):
            make_config(**changes)


def test_a_run_of_an_earlier_version_goes_on(make_config: Make, signal_at: Any) -> None:
    """Its config has no key of these, its checkpoint no state of them."""
    config = make_config()
    signal_at(5)
    with pytest.raises(Interrupted):
        train(config)
    path = Path(config.Global.output_dir) / "config.yaml"
    text = path.read_text(encoding="utf-8")
    assert "skip: []" in text and "hysteresis: 1" in text
    kept = [line for line in text.splitlines() if line.strip() not in ("skip: []", "hysteresis: 1")]
    path.write_text("\n".join(kept), encoding="utf-8")
    assert train(config, "auto")["steps"] == 20
    assert json.loads((path.parent / "train_results.json").read_text(encoding="utf-8"))["steps"] == 20
