"""Text in, answers out: a saved model with its task around it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppernie.data.batches import evaluation_batches
from ppernie.data.readers import read_row
from ppernie.errors import UserError
from ppernie.inference.loading import changed, has_steps, is_export, open_network

if TYPE_CHECKING:
    from ppernie.tasks.base import Batch, Example, Item, Task
    from ppernie.zoo.description import ModelDescription

# Maps a batch to the network's output.
Runner = Callable[["Batch"], np.ndarray]


class Pipeline:
    """Answers to rows of text, one for each, in order.

    Args:
        description: what the model is.
        task: encodes and answers.
        runner: the network.
        batch_size: inputs that run together.
    """

    def __init__(self, description: ModelDescription, task: Task, runner: Runner, batch_size: int = 32) -> None:
        self.description, self.task, self.runner, self.batch_size = description, task, runner, batch_size

    def lines(self, lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
        """Answers to lines of UTF-8, each a JSON object with the task's fields, or the plain text itself.

        A line that cannot be answered gives ``{"error": ...}`` in its place.
        """
        numbered = enumerate(lines, 1)
        while chunk := list(islice(numbered, self.batch_size)):
            yield from self._answer([(f"line {number}", _parse(line)) for number, line in chunk], chunk[0][0] - 1)

    def __call__(self, rows: Sequence[str | Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Answers to texts or to objects with the task's fields."""
        parsed = [{"text": row} if isinstance(row, str) else dict(row) for row in rows]
        return list(self._answer([(f"row {number}", row) for number, row in enumerate(parsed)], 0))

    def score(self, examples: Sequence[Example]) -> dict[str, float]:
        """Metrics over labelled examples, as fractions."""
        items = [item for example in examples for item in self.task.expand(example, labelled=True)]
        return self.task.score(items, self._run(items, range(len(items))))

    def _answer(self, rows: Sequence[tuple[str, dict[str, Any] | UserError]], first: int) -> Iterator[dict[str, Any]]:
        """Answers to rows of an input, of which ``first`` is the number of the first, counted from 0."""
        groups: list[list[Item] | UserError] = []
        for where, row in rows:
            try:
                groups.append(self._items(where, row))
            except UserError as error:
                groups.append(error)
        numbered = [(n, item) for n, group in enumerate(groups, first) if isinstance(group, list) for item in group]
        results = iter(self._run([item for _, item in numbered], [number for number, _ in numbered]))
        for group in groups:
            if isinstance(group, UserError):
                yield {"error": str(group)}
                continue
            answer = self.task.answer(group, list(islice(results, len(group))))
            if self.task.is_cut(group[0]):
                answer["truncated"] = True
            yield answer

    def _items(self, where: str, row: dict[str, Any] | UserError) -> list[Item]:
        if isinstance(row, UserError):
            raise row
        example = read_row(row, where, fields=self.description.fields, task=self.description.task_name)
        return self.task.expand(example, labelled=False)

    def _run(self, items: Sequence[Item], numbers: Sequence[int]) -> list[Any]:
        results: list[Any] = [None] * len(items)
        for indices, batch in evaluation_batches(self.task, items, self.batch_size, numbers):
            for index, result in zip(indices, self.task.reduce(self.runner(batch), batch), strict=True):
                results[index] = result
        return results


def open_pipeline(
    folder: str | Path,
    *,
    device: str = "auto",
    precision: str | None = None,
    threads: int | None = None,
    overrides: Sequence[str] = (),
    stream: bool = False,
) -> Pipeline:
    """The pipeline of an export (through the engine that it names) or of a model folder (the network itself).

    Args:
        folder: an export's folder, or one such as ``best_model``.
        device: ``auto``, ``cpu`` or ``gpu``.
        precision: ``fp32``, ``bf16`` or ``fp16``, of an export; None is the default of ``Predictor``. A model folder,
            and an export that reads step by step, run in fp32.
        threads: CPU threads.
        overrides: options of the task that are changed, such as ``decoding.strategy=beam``.
        stream: read the weights of a model folder block by block, in every pass.

    Raises:
        UserError: the folder holds no model, or the device cannot do what is asked.
    """
    folder = Path(folder)
    if not stream and is_export(folder) and not has_steps(folder):
        return _exported(folder, device, precision, threads, overrides)
    if precision not in (None, "fp32"):
        raise UserError(f"{folder}: this model runs in fp32; a classifier's or an encoder's export runs in {precision}")
    opened = open_network(folder, device, threads, overrides, stream)

    def run(batch: Batch) -> np.ndarray:
        import paddle

        with paddle.no_grad():
            return opened.task.run(opened.network, batch)

    return Pipeline(opened.description, opened.task, run)


def _exported(
    folder: Path, device: str, precision: str | None, threads: int | None, overrides: Sequence[str]
) -> Pipeline:
    from ppernie.inference.predictor import Predictor
    from ppernie.zoo.description import ModelDescription
    from ppernie.zoo.folder import read_tokenizer

    predictor = Predictor(folder, device=device, precision=precision, threads=threads)
    described = ModelDescription.parse(predictor.deploy.extra.get("model"), folder / "deploy.yml")
    description = changed(described, overrides)
    task = description.build_task(read_tokenizer(folder))

    def run(batch: Batch) -> np.ndarray:
        return predictor.run({name: batch[name] for name in task.input_names})[0]

    return Pipeline(description, task, run)


def _parse(line: bytes) -> dict[str, Any] | UserError:
    try:
        text = line.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        return UserError(f"not UTF-8 at byte {error.start}")
    if not text:
        return UserError("the line is empty")
    if not text.startswith("{"):
        return {"text": text}
    try:
        row = json.loads(text)
    except ValueError as error:
        return UserError(f"broken JSON: {error}")
    return row
