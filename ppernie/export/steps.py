"""From a network that writes texts step by step to static graphs of its steps, proven to go the same way."""

from __future__ import annotations

import filecmp
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle.static import InputSpec

from ppernie.decoding.generate import Reader
from ppernie.decoding.stepwise import Step, StepwiseTask
from ppernie.errors import UserError
from ppernie.export.static_graph import check_target, difference
from ppernie.files import new_folder
from ppernie.inference.deploy import WEIGHTS, Difference, StepInterface, StepsDeploy
from ppernie.inference.loading import Opened
from ppernie.inference.steps import StepsPredictor
from ppernie.tasks.base import Batch

# Of a reading: "start" and "step" with the ids read and their scores, or "select" with the rows.
Event = tuple[str, np.ndarray, np.ndarray | None]


def export_steps(opened: Opened, folder: Path, batches: Sequence[Batch], tolerance: float) -> dict[str, Any]:
    """Writes a graph for each kind of step, their weights and ``deploy.yml``, and proves them on real texts.

    The network writes the texts of the batches; its graphs read the same tokens, and score them. The folder appears
    whole or not at all; an export that stands there is replaced at the very end.

    Args:
        opened: the model; its task is a ``StepwiseTask``.
        folder: where the export goes.
        batches: the task's, without labels.
        tolerance: largest accepted difference of scores, relative to the largest.

    Returns:
        What was written to ``deploy.yml``.

    Raises:
        UserError: a graph differs from the network, or the folder cannot be written.
    """
    task, network, description = opened.task, opened.network, opened.description
    assert isinstance(task, StepwiseTask)
    check_target(folder)
    recorder = Recorder(task.reader(network))
    for batch in batches:
        task.write(recorder, batch)
    steps = task.steps(network)
    with new_folder(folder) as temporary:
        for name, step in steps.kinds.items():
            step.layer.eval()
            paddle.jit.save(step.layer, str(temporary / name), input_spec=_specs(step, steps.sizes))
        weights = _shared_weights(temporary, list(steps.kinds))
        deploy = StepsDeploy(
            paddle=paddle.__version__,
            max_length=description.max_length,
            tolerance=tolerance,
            extra={"model": description.model_dump()},
            steps={
                name: StepInterface(weights=weights[name], inputs=list(step.inputs), outputs=list(step.outputs))
                for name, step in steps.kinds.items()
            },
            sizes=dict(steps.sizes),
        )
        deploy.write(temporary)
        predictor = StepsPredictor(temporary, device="cpu")
        reader = task.reader(task.exported(predictor, description.arch_config()))
        found = replayed(recorder.events, reader)
        if not found.max_relative <= tolerance:
            raise UserError(
                f"{folder}: nothing was exported: the static graphs differ from the model by {found.max_relative:.1e} "
                f"of the largest score, more than the tolerance of {tolerance:.1e}"
            )
        deploy.differences["fp32"] = found
        deploy.write(temporary)
        opened.task.tokenizer.save(temporary)
    return deploy.model_dump(mode="json")


class Recorder:
    """A reader that keeps what it was asked, and the scores it gave."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.events: list[Event] = []

    def start(self) -> tuple[bool, Any]:
        return True, self._reader.start()

    def step(self, ids: paddle.Tensor, state: tuple[bool, Any]) -> tuple[paddle.Tensor, tuple[bool, Any]]:
        first, inner = state
        logits, inner = self._reader.step(ids, inner)
        self.events.append(("start" if first else "step", ids.numpy(), logits.numpy()))
        return logits, (False, inner)

    def select(self, state: tuple[bool, Any], rows: paddle.Tensor) -> tuple[bool, Any]:
        self.events.append(("select", rows.numpy(), None))
        return state[0], self._reader.select(state[1], rows)


def replayed(events: Sequence[Event], reader: Reader) -> Difference:
    """How far the scores of another reader, which reads the same, lie from those that were kept."""
    wanted, got, state = [], [], None
    for kind, asked, expected in events:
        tensor = paddle.to_tensor(asked)
        if expected is None:
            state = reader.select(state, tensor)
            continue
        logits, state = reader.step(tensor, reader.start() if kind == "start" else state)
        wanted.append([expected])
        got.append([logits.numpy()])
    return difference(wanted, got)


def _specs(step: Step, sizes: Mapping[str, int]) -> list[InputSpec]:
    return [InputSpec([sizes.get(dim) for dim in field.dims], field.dtype, field.name) for field in step.inputs]


def _shared_weights(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """The file of each step's weights; where all have the same bytes, only one is kept."""
    files = [folder / f"{name}.pdiparams" for name in names]
    if not all(filecmp.cmp(files[0], file, shallow=False) for file in files[1:]):
        return {name: file.name for name, file in zip(names, files, strict=True)}
    files[0].rename(folder / WEIGHTS)
    for file in files[1:]:
        file.unlink()
    return dict.fromkeys(names, WEIGHTS)
