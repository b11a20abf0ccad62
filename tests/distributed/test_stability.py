"""A fault on one rank takes all of them back, to where a run that left the steps out from the start would be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file


def run(values: dict[str, Any], faulty: list[int]) -> dict[str, Any]:
    """The results of a run in which the last rank alone has a loss that is not finite, in given steps."""
    import os

    from ppernie.config import parse_config
    from ppernie.engine.train import train
    from ppernie.engine.trainer import Trainer
    from ppernie.tasks.sequence_classification import SequenceClassification

    plain, update, step = SequenceClassification.loss, Trainer._update, [0]

    def remember(self: Trainer, *arguments: Any) -> Any:
        step[0] = self.state.step + 1
        return update(self, *arguments)

    def loss(*arguments: Any) -> Any:
        return plain(*arguments) * (float("nan") if step[0] in faulty else 1.0)

    Trainer._update = remember
    if os.environ["PADDLE_TRAINER_ID"] == "1":
        SequenceClassification.loss = loss
    return train(parse_config(values))


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [{"dp": 2}, {"mp": 2}, {"pp": 2}, {"sharding": 2}], ids=str)
def test_all_ranks_go_back_together(
    degrees: dict[str, int], run_values: dict[str, Any], tmp_path: Path, launch: Callable[..., Any]
) -> None:
    def start(
        name: str, faulty: list[int], **train: Any
    ) -> tuple[list[Any], dict[str, np.ndarray], list[dict[str, Any]]]:
        values = json.loads(json.dumps(run_values))
        values["Global"]["output_dir"] = str(tmp_path / name)
        values["Arch"]["vocab_size"] = 200
        values["Distributed"] = degrees
        values["Train"] |= {"batch_size": 2, "epochs": 9, "max_steps": 12, "accumulate_steps": 2, "save_every": 5}
        values["Train"] |= {"on_nan": "rollback", "rollback": {"after": 2}, **train}
        values["Eval"]["every"] = 100
        job = launch(run, 2, values, faulty)
        folder = max((tmp_path / name / "checkpoints").glob("step_????????"))
        arrays = {
            f"{file.name}/{key}": array
            for file in folder.glob("*.safetensors")
            for key, array in load_file(file).items()
        }
        lines = (tmp_path / name / "train_log.jsonl").read_text(encoding="utf-8").splitlines()
        return job.results, arrays, [json.loads(line) for line in lines]

    planned, expected, _ = start("planned", [], skip=[[6, 8]])
    results, found, log = start("faulty", [7, 8])
    assert [result["skipped"] for result in (*planned, *results)] == [[[6, 8]]] * 4
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert [(record["kind"], record["step"]) for record in log if record["mode"] == "event"][-2:] == [
        ("skip", 7),
        ("rollback", 8),
    ]
