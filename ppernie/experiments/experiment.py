"""One experiment, from its file to its report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ppernie.cpu import cpu_count
from ppernie.engine.logs import log_to_console
from ppernie.experiments.folder import experiment_folder
from ppernie.experiments.loader import load_experiment
from ppernie.experiments.plan import make_plan
from ppernie.experiments.plots import write_plots
from ppernie.experiments.report import Findings, as_json, as_markdown
from ppernie.experiments.runner import execute
from ppernie.experiments.summary import summarise
from ppernie.files import write_file
from ppernie.machine import describe_machine


def run_experiment(
    file: str, overrides: Sequence[str], jobs: int, out: Path | None, command: str
) -> tuple[str, dict[str, str]]:
    """Trains what an experiment needs and writes ``results.json``, ``results.md`` and plots.

    Runs that are finished are not repeated, and those that were cut short go on.

    Args:
        file: the experiment file.
        overrides: as after ``-o``.
        jobs: runs at a time. With more than one, each takes an equal share of the cores, whatever its config says.
        out: folder; None is ``output/experiments/NAME``.
        command: that repeats the experiment, for the report.

    Returns:
        The text of ``results.md``, and why for every run that failed.

    Raises:
        UserError: the file or one of its configs is wrong, or the folder is in use or another experiment's.
        Interrupted: a signal came; what ran is saved.
    """
    log_to_console()
    experiment, settings = load_experiment(file, overrides)
    folder = out or Path("output/experiments") / experiment.name
    threads = max(1, cpu_count() // jobs) if jobs > 1 else None
    plan = make_plan(experiment, settings, folder, threads)
    with experiment_folder(folder, experiment):
        failures = execute(plan.runs, jobs)
        summary = summarise(experiment, plan, failures)
        findings = Findings(experiment, plan, summary, failures, command, describe_machine(), jobs)
        text = as_markdown(findings)
        write_file(folder / "results.json", json.dumps(as_json(findings), indent=2, ensure_ascii=False) + "\n")
        write_file(folder / "results.md", text)
        write_plots(experiment, summary, folder)
    return text, failures
