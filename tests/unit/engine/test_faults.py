from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from safetensors.numpy import load_file

from ppernie.config.sections import Config
from ppernie.engine import trainer
from ppernie.engine.train import train
from ppernie.errors import Interrupted, UserError
from ppernie.tasks.sequence_classification import SequenceClassification

Make = Callable[..., Config]
Records = Callable[..., list[dict[str, Any]]]
NAN = float("nan")
AT_ONCE = {"Train.on_nan": "rollback", "Train.rollback": {"after": 1}}


@pytest.fixture
def events(records: Records) -> Callable[[Config, str], list[dict[str, Any]]]:
    """The events of a kind in a run's log."""
    return lambda config, kind: [record for record in records(config, "event") if record["kind"] == kind]


@pytest.fixture
def inject(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, float]], list[int]]:
    """Multiplies the training loss of given batches, counted from 1 over the process, by a factor."""

    def arm(factors: dict[int, float]) -> list[int]:
        original, calls = SequenceClassification.loss, [0]

        def loss(self: Any, outputs: Any, batch: Any) -> Any:
            value = original(self, outputs, batch)
            if not paddle.is_grad_enabled():
                return value
            calls[0] += 1
            return value * factors.get(calls[0], 1.0)

        monkeypatch.setattr(SequenceClassification, "loss", loss)
        return calls

    return arm


def newest(config: Config) -> Path:
    return max((Path(config.Global.output_dir) / "checkpoints").iterdir())


def checkpoint(config: Config) -> dict[str, np.ndarray]:
    """Weights and moments of the newest checkpoint."""
    files = newest(config).glob("*.safetensors")
    return {f"{path.name}/{name}": value for path in files for name, value in load_file(path).items()}


def finite(config: Config) -> bool:
    return all(np.isfinite(value).all() for value in checkpoint(config).values())


@pytest.mark.parametrize("factor", [NAN, float("inf")])
def test_stop_names_the_step_and_the_last_checkpoint(make_config: Make, inject: Any, factor: float) -> None:
    inject({8: factor})
    config = make_config()
    with pytest.raises(UserError, match=r"step 8: loss (nan|inf), .*The last checkpoint is .*step_00000005"):
        train(config)
    assert newest(config).name == "step_00000005"
    assert train(config, "auto")["steps"] == 20


def test_skip_leaves_the_update_out(make_config: Make, inject: Any, records: Records, events: Records) -> None:
    calls = inject({8: NAN, 9: NAN, 15: NAN})
    config = make_config(**{"Train.on_nan": "skip"})
    results = train(config)
    assert (results["steps"], results["skipped"]) == (20, [[8, 9], [15, 15]])
    assert calls[0] == 20
    assert [record["step"] for record in records(config)] == [step for step in range(1, 21) if step not in (8, 9, 15)]
    assert [record["step"] for record in events(config, "skip")] == [8, 9, 15]
    assert all(np.isfinite(record["loss"]) for record in records(config))
    assert finite(config)


def test_a_skipped_update_changes_neither_weights_nor_moments(
    make_config: Make,
    inject: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_equal: Callable[..., None],
) -> None:
    """A run that is interrupted at a skipped fourth update has what a run of three updates has."""
    changes = {"Optimizer.schedule": {"name": "constant"}, "Data.eval": None, "Train.on_nan": "skip"}
    whole = make_config(**changes, **{"Global.output_dir": str(tmp_path / "whole"), "Train.max_steps": 3})
    train(whole)
    inject({4: NAN})
    monkeypatch.setattr(trainer.Recorder, "event", lambda *_: signal.raise_signal(signal.SIGTERM))
    config = make_config(**changes)
    with pytest.raises(Interrupted, match="saved at step 4"):
        train(config)
    assert_equal(checkpoint(config), checkpoint(whole))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Train.on_nan": "skip"}, "step 13: loss nan, .*Lower Optimizer.learning_rate"),
        ({**AT_ONCE, "Train.rollback": {"after": 1, "limit": 4}}, "step 7: loss nan, .* after 4 rollbacks"),
        ({**AT_ONCE, "Train.rollback": {"after": 3, "limit": 2}}, "step 11: loss nan, .* after 2 rollbacks"),
    ],
)
def test_faults_without_end_end_the_run(make_config: Make, inject: Any, changes: dict[str, Any], message: str) -> None:
    inject(dict.fromkeys(range(3, 200), NAN))
    with pytest.raises(UserError, match=message):
        train(make_config(**changes))


def test_rollback_goes_back_and_skips_the_data(
    make_config: Make, inject: Any, records: Records, events: Records
) -> None:
    calls = inject({9: NAN})
    config = make_config(**AT_ONCE)
    results = train(config)
    assert (results["steps"], results["skipped"]) == (20, [[6, 9]])
    assert calls[0] == 20
    assert [record["step"] for record in records(config)] == [*range(1, 6), *range(10, 21)]
    (event,) = events(config, "rollback")
    assert event["step"] == 9 and "back to the weights of step 5" in event["message"]
    assert finite(config)


def test_a_rollback_passes_over_a_damaged_checkpoint(make_config: Make, inject: Any, events: Records) -> None:
    inject({13: NAN})
    config = make_config(**AT_ONCE)

    def spoil(self: Any, done: int) -> None:
        if done == 12:
            path = newest(config) / "rank_00000.safetensors"
            path.write_bytes(b"\0" * path.stat().st_size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.Recorder, "progress", spoil)
        assert train(config)["steps"] == 20
    assert "back to the weights of step 5," in events(config, "rollback")[0]["message"]
    assert (newest(config).parent / "step_00000010.damaged").exists()
    assert (newest(config).parent / "step_00000020").exists()


def test_a_rollback_to_nothing_is_refused(make_config: Make, inject: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inject({13: NAN})
    config = make_config(**AT_ONCE)
    folder = Path(config.Global.output_dir) / "checkpoints"
    monkeypatch.setattr(trainer.Recorder, "progress", lambda _, done: done == 12 and shutil.rmtree(folder))
    with pytest.raises(UserError, match="step 13: loss nan, .* holds nothing to roll back to"):
        train(config)


def test_rollback_before_the_first_checkpoint_starts_over(make_config: Make, inject: Any, events: Records) -> None:
    inject({3: NAN})
    config = make_config(**AT_ONCE)
    assert train(config)["skipped"] == [[1, 3]]
    assert "back to the weights of step 0," in events(config, "rollback")[0]["message"]


def test_a_rollback_keeps_the_best_model(make_config: Make, inject: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inject({9: NAN})
    values = iter([0.1, 0.2, 0.3, 0.9, *[0.5] * 8])
    monkeypatch.setattr(trainer, "evaluate", lambda *_: {"accuracy": next(values), "loss": 1.0})
    config = make_config(**AT_ONCE, **{"Eval.every": 2})
    results = train(config)
    assert (results["accuracy"], results["best_step"]) == (0.9, 8)
    best = Path(config.Global.output_dir) / "best_model" / "metrics.json"
    assert json.loads(best.read_text(encoding="utf-8"))["step"] == 8


@pytest.mark.parametrize(("action", "skipped"), [("report", []), ("skip", [9]), ("rollback", [6, 7, 8, 9])])
def test_spikes(
    make_config: Make, inject: Any, records: Records, events: Records, action: str, skipped: list[int]
) -> None:
    inject({9: 100.0})
    spike = {"factor": 5.0, "window": 4, "action": action}
    config = make_config(**{"Train.spike": spike, "Train.rollback": {"after": 1}})
    assert train(config)["steps"] == 20
    (event,) = events(config, "spike" if action == "report" else action)
    assert event["step"] == 9 and "the recent median is" in event["message"]
    assert [record["step"] for record in records(config)] == [step for step in range(1, 21) if step not in skipped]


def test_a_spike_before_the_window_is_full_is_none(make_config: Make, inject: Any, events: Records) -> None:
    inject({3: 100.0})
    config = make_config(**{"Train.spike": {"factor": 5.0, "window": 3, "action": "skip"}})
    train(config)
    assert events(config, "skip") == []
