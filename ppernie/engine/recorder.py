"""What a run tells: log lines, ``train_log.jsonl``, VisualDL and a progress bar."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ppernie.files import write_file

logger = logging.getLogger("ppernie")

_LINE = (
    "[Train][Epoch {epoch}/{epochs}][Iter {iter}/{iters}] lr: {lr:.1e}, loss: {loss:.5f}, grad_norm: {grad_norm:.2f}, "
    "reader_cost: {reader_cost:.4f} s, batch_cost: {batch_cost:.4f} s, ips: {ips:.1f} samples/s, "
    "tokens/s: {tokens_per_second:.0f}, eta: {clock}"
)


class Recorder:
    """Writes the records of one run.

    Args:
        folder: the run's output folder.
        total: updates in the run.
        step: the update that the run starts or goes on from; later records of a run that was killed are dropped.
    """

    def __init__(self, folder: Path, total: int, step: int) -> None:
        import visualdl
        from tqdm import tqdm

        self._path = folder / "train_log.jsonl"
        self.rewind(step)
        self._visual = visualdl.LogWriter(logdir=str(folder / "vdl"))
        self._bar = tqdm(total=total, initial=step, unit="step", disable=not sys.stderr.isatty(), leave=False)

    def rewind(self, step: int) -> None:
        """Drops the records after ``step``: the run will make them again."""
        self._keep(lambda line: _step_of(line) <= step)

    def drop_evaluation(self, step: int) -> None:
        """Drops the evaluation after update ``step``: the run will make it again."""
        self._keep(lambda line: _step_of(line) != step or json.loads(line)["mode"] != "eval")

    def undo(self, step: int) -> None:
        """Drops the records after ``step`` but the events: the weights are again what they were."""
        self._keep(lambda line: _step_of(line) <= step or json.loads(line)["mode"] == "event")

    def _keep(self, is_kept: Callable[[str], bool]) -> None:
        if self._path.exists():
            lines = self._path.read_text(encoding="utf-8").splitlines()
            write_file(self._path, "".join(f"{line}\n" for line in lines if is_kept(line)))

    def progress(self, step: int) -> None:
        """Moves the progress bar."""
        self._bar.update(step - self._bar.n)

    def train(self, record: Mapping[str, Any]) -> None:
        """One line of training."""
        seconds = int(record["eta"])
        clock = f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        logger.info(_LINE.format(**record, clock=clock))
        scalars = ("lr", "loss", "grad_norm", "ips", "tokens_per_second", "loss_scale", "embedding_gradient")
        self._write("train", record, tuple(name for name in scalars if name in record))

    def evaluation(self, record: Mapping[str, Any]) -> None:
        """One evaluation: ``step`` and metrics."""
        metrics = {name: value for name, value in record.items() if name != "step"}
        shown = ", ".join(f"{name}: {value:.5f}" for name, value in metrics.items())
        logger.info("[Eval][Step %d] %s", record["step"], shown)
        self._write("eval", record, tuple(metrics))

    def event(self, kind: str, step: int, message: str) -> None:
        """Something unusual about update ``step``, such as that it was skipped; VisualDL has a mark at the step."""
        logger.warning("[%s][Step %d] %s", kind, step, message)
        self._write("event", {"kind": kind.lower(), "step": step, "message": message}, ())
        self._visual.add_scalar(f"event/{kind.lower()}", 1.0, step)

    def _write(self, mode: str, record: Mapping[str, Any], scalars: tuple[str, ...]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"mode": mode, **record}) + "\n")
        for name in scalars:
            self._visual.add_scalar(f"{mode}/{name}", record[name], record["step"])

    def close(self) -> None:
        self._bar.close()
        self._visual.close()


class NoRecorder(Recorder):
    """Of the ranks that leave the telling to the first."""

    def __init__(self) -> None:
        pass

    def rewind(self, step: int) -> None:
        pass

    def drop_evaluation(self, step: int) -> None:
        pass

    def undo(self, step: int) -> None:
        pass

    def progress(self, step: int) -> None:
        pass

    def train(self, record: Mapping[str, Any]) -> None:
        pass

    def evaluation(self, record: Mapping[str, Any]) -> None:
        pass

    def event(self, kind: str, step: int, message: str) -> None:
        pass

    def close(self) -> None:
        pass


def _step_of(line: str) -> float:
    """The step of a record; a line that a kill cut short counts as later than all."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):
        return float("inf")
