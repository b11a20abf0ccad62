"""Runs of an experiment as ``ppernie train`` processes, several at a time."""

from __future__ import annotations

import ctypes
import logging
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from ppernie.config import dump_config
from ppernie.engine.interrupts import Interrupts
from ppernie.errors import Interrupted, UserError
from ppernie.experiments.plan import Run
from ppernie.experiments.records import read_metric, read_results
from ppernie.files import write_file, writing

logger = logging.getLogger("ppernie")

_TRAIN = (sys.executable, "-m", "ppernie.cli.main", "train")
_POLL_SECONDS = 0.05
# Of a failed run's console, which ends with the reason.
_LINES = 8
_CONSOLE = "console.log"
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def execute(runs: Sequence[Run], jobs: int) -> dict[str, str]:
    """Trains what is not finished, each run after those it needs, and goes on after one that fails.

    Args:
        runs: each after those it needs.
        jobs: runs at a time.

    Returns:
        Why, for the name of every run that has failed or could not start.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the runs under way have saved.
    """
    work = _Work(runs, jobs)
    with Interrupts() as interrupts:
        try:
            while work.waiting or work.active:
                work.start()
                work.collect()
                if interrupts.pending is not None:
                    raise Interrupted(
                        f"interrupted; {work.done} of {len(runs)} runs are finished. The same command goes on"
                    )
                time.sleep(_POLL_SECONDS)
        finally:
            work.stop()
    return work.failures


class _Work:
    def __init__(self, runs: Sequence[Run], jobs: int) -> None:
        self.jobs, self.total = jobs, len(runs)
        self.failures: dict[str, str] = {}
        self.waiting: list[Run] = []
        self.active: dict[str, tuple[Run, subprocess.Popen[bytes], float]] = {}
        self.seconds: dict[str, list[float]] = defaultdict(list)
        for run in runs:
            if run.finished:
                self._check(run)
            else:
                self.waiting.append(run)
        if self.done:
            logger.info("%d of %d runs are finished already", self.done, self.total)

    @property
    def done(self) -> int:
        return self.total - len(self.waiting) - len(self.active) - len(self.failures)

    def start(self) -> None:
        """Starts runs for which all that they need is finished, as many as there is room for."""
        for run in list(self.waiting):
            if failed := [needed for needed in run.needs if needed.name in self.failures]:
                self.waiting.remove(run)
                self._fail(run, f"not started: {failed[0].label} failed")
            elif len(self.active) < self.jobs and all(needed.finished for needed in run.needs):
                self.waiting.remove(run)
                self.active[run.name] = (run, _train(run), time.monotonic())

    def collect(self) -> None:
        """Tells of the runs that have ended."""
        for run, process, began in list(self.active.values()):
            status = process.poll()
            if status is None:
                continue
            del self.active[run.name]
            if status:
                path = run.folder / _CONSOLE
                self._fail(run, f"exit status {status}; {path} ends with\n{_tail(path)}")
                continue
            seconds = time.monotonic() - began
            self.seconds[run.kind].append(seconds)
            self._check(run)
            if run.name not in self.failures:
                place = f"[{self.done}/{self.total}] {run.label}"
                logger.info("%s: %s in %.0f s, eta: %s", place, _told(run), seconds, _clock(self._eta()))

    def stop(self) -> None:
        """Ends the runs under way; each saves first."""
        for _, process, _ in self.active.values():
            process.terminate()
        for _, process, _ in self.active.values():
            process.wait()

    def _check(self, run: Run) -> None:
        """A run that lacks a metric that is to be reported has failed."""
        try:
            for metric in run.metrics:
                read_metric(run.folder, metric)
        except UserError as error:
            self._fail(run, str(error))

    def _fail(self, run: Run, reason: str) -> None:
        self.failures[run.name] = reason
        logger.error("%s failed: %s", run.label, reason)

    def _eta(self) -> float:
        """Seconds left, if runs of a stage and task take as long as those before, and others as their mean."""
        known = {kind: mean(taken) for kind, taken in self.seconds.items()}
        left = [known.get(run.kind, mean(known.values())) for run in self.waiting]
        now = time.monotonic()
        for run, _, began in self.active.values():
            left.append(max(0.0, known.get(run.kind, mean(known.values())) - (now - began)))
        return sum(left) / self.jobs


def _train(run: Run) -> subprocess.Popen[bytes]:
    config = run.folder / "run.yaml"
    with writing(run.folder):
        run.folder.mkdir(parents=True, exist_ok=True)
        write_file(config, dump_config(run.config))
        with open(run.folder / _CONSOLE, "wb") as console:
            return subprocess.Popen(
                [*_TRAIN, "-c", str(config), "--resume", "auto"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                # A terminal's Ctrl-C comes to the experiment, which passes it on.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )


def _die_with_parent() -> None:
    """A run that outlived a killed experiment would hold its output folder against the one that goes on."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _tail(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in [line for line in lines if line.strip()][-_LINES:])


def _told(run: Run) -> str:
    results = read_results(run.folder)
    names = {metric or results["metric"] for metric in run.metrics}
    return ", ".join(f"{name} {read_metric(run.folder, name):.4f}" for name in sorted(names)) or "trained"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
