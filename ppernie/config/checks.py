"""Rules between keys of a config."""

from __future__ import annotations

from typing import Any

from ppernie import registry
from ppernie.config.report import Report


def cross_check(values: dict[str, Any], report: Report) -> None:
    """Check every rule whose keys are sound; ``values`` are the sections with the variant's fields filled in."""

    def value(key: str) -> Any:
        return report.sound(values, tuple(key.split(".")))

    _check_task(value, report)
    _check_sources(value, report)
    _check_length(value, report)
    _check_schedule(value, report)


def _check_task(value: Any, report: Report) -> None:
    arch, task = value("Arch.name"), value("Task.name")
    if arch in registry.arch_names() and task in registry.task_names() and task not in registry.arch_tasks(arch):
        served = ", ".join(registry.arch_tasks(arch)) or "no task"
        others = [name for name in registry.arch_names() if task in registry.arch_tasks(name)]
        hint = f"; for {task} take {' or '.join(others)}" if others else ""
        report.add(("Arch", "name"), f"{arch} serves {served}, not {task}{hint}")


def _check_sources(value: Any, report: Report) -> None:
    for part in ("train", "eval", "test"):
        source = value(f"Data.{part}")
        if isinstance(source, dict) and (source.get("files") is None) == (source.get("dataset") is None):
            report.add(("Data", part), "must name either files or dataset, and not both")


def _check_length(value: Any, report: Report) -> None:
    length, positions = value("Data.max_length"), value("Arch.max_position_embeddings")
    if isinstance(length, int) and isinstance(positions, int) and length > positions:
        report.add(
            ("Data", "max_length"),
            f"{length} tokens do not fit the {positions} positions of Arch.max_position_embeddings",
        )


def _check_schedule(value: Any, report: Report) -> None:
    warmup, max_steps = value("Optimizer.schedule.warmup"), value("Train.max_steps")
    if isinstance(warmup, int) and isinstance(max_steps, int) and warmup >= max_steps:
        report.add(
            ("Optimizer", "schedule", "warmup"),
            f"{warmup} steps of warm-up leave nothing of Train.max_steps = {max_steps}",
        )
    decay = value("Optimizer.schedule.decay")
    if value("Optimizer.schedule.name") != "wsd" or warmup is None or decay is None:
        return
    shares = [part / max_steps if max_steps and isinstance(part, int) else part for part in (warmup, decay)]
    if all(isinstance(share, float) for share in shares) and sum(shares) > 1:
        report.add(("Optimizer", "schedule", "decay"), f"warm-up ({warmup}) and decay ({decay}) exceed the run")
