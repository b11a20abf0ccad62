"""What a recipe has reached: the sizes, latencies and scores of the source and of each step, side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ppernie import registry
from ppernie.bench.compression import Measured, measure
from ppernie.cpu import cpu_count
from ppernie.files import write_file
from ppernie.inference.loading import is_export
from ppernie.machine import describe_machine
from ppernie.slim.scores import Scores, megabytes, parameters
from ppernie.table import render
from ppernie.tasks.pretraining import PretrainingTask
from ppernie.zoo.folder import read_description

if TYPE_CHECKING:
    from ppernie.config import Config


class Stop(NamedTuple):
    """What a recipe has come to.

    Attributes:
        step: the step's key in ``Slim``, or ``source``.
        scores: None where there is nothing to compare on.
        refusal: what the gate says against it; such a stop is the last.
    """

    step: str
    folder: Path
    scores: Scores | None
    refusal: str | None = None


def write_report(output: Path, stops: list[Stop], config: Config) -> str:
    """Measures all stops in one run, writes ``compress_results.json`` and ``results.md``, and returns the table.

    Latency is that of what ``ppernie predict`` would run. A network that writes texts, or answers nothing, has none.
    """
    latencies = _latencies(stops, config)
    records = _records(stops, latencies)
    table = render([_row(record, records[0]) for record in records])
    machine = f"{describe_machine()}, {_threads(config)} threads"
    refusal = stops[-1].refusal
    model = str(output / "model") if refusal is None else None
    found = {"source": str(stops[0].folder), "model": model, "machine": machine, "steps": records}
    write_file(output / "compress_results.json", json.dumps(found, indent=2) + "\n")
    scored = stops[0].scores
    on = f" Scores are of the {scored.examples} examples of Data.eval." if scored is not None else ""
    title = f"{stops[0].folder}, compressed" if refusal is None else f"{stops[0].folder}, not compressed"
    end = "" if refusal is None else f"\n{refusal}.\n"
    text = f"# {title}\n\n{table}\n\nMeasured on {machine}.{on}\n{end}"
    write_file(output / "results.md", text)
    return table


def _threads(config: Config) -> int:
    return config.Global.threads or cpu_count()


def _latencies(stops: list[Stop], config: Config) -> list[dict[str, Measured]]:
    """By what is measured, such as ``1 x 128``; of each stop."""
    section, description = config.Slim.latency, read_description(stops[0].folder)
    task = registry.task_class(description.task["name"]) if description.task else None
    if section is None or task is None or task.generative or issubclass(task, PretrainingTask):
        return [{} for _ in stops]
    # An export reads what its model folder does; any other step may have cut positions.
    folders = [stop.folder for stop in stops if not is_export(stop.folder)]
    length = min(section.length, *(read_description(folder).max_length for folder in folders))
    machine = config.Global.device, _threads(config)
    found = {
        f"{batch} x {length}": measure([stop.folder for stop in stops], batch, length, section.rounds, *machine)
        for batch in section.batches
    }
    return [{what: measured[number] for what, measured in found.items()} for number in range(len(stops))]


def _records(stops: list[Stop], latencies: list[dict[str, Measured]]) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for stop, measured in zip(stops, latencies, strict=True):
        # An export holds what its model folder does.
        size = parameters(stop.folder) or records[-1]["parameters"]
        record: dict[str, Any] = {"step": stop.step, "folder": str(stop.folder), "parameters": size}
        record["megabytes"] = round(megabytes(stop.folder), 3)
        record["latency"] = {what: one._asdict() for what, one in measured.items()}
        if stop.scores is not None:
            record |= stop.scores._asdict()
        if stop.refusal is not None:
            record["refusal"] = stop.refusal
        records.append(record)
    return records


def _row(record: dict[str, Any], source: dict[str, Any]) -> dict[str, object]:
    row: dict[str, object] = {
        "step": f"{record['step']} (refused)" if "refusal" in record else record["step"],
        "parameters": f"{record['parameters']:,}",
        "fewer": f"{source['parameters'] / record['parameters']:.2f}",
        "MB": f"{record['megabytes']:.2f}",
    }
    for what, measured in record["latency"].items():
        row[f"ms at {what}"] = f"{measured['milliseconds']:.2f}"
        row["times faster" if len(record["latency"]) == 1 else f"faster at {what}"] = f"{measured['faster']:.2f}"
    peaks = [measured["peak_mb"] for measured in record["latency"].values()]
    if peaks:
        row["peak MB"] = f"{max(peaks):.0f}" if all(peaks) else ""
    if "metrics" in source:
        metric = source["metric"]
        row[metric] = f"{record['metrics'][metric]:.4f}" if "metrics" in record else ""
    return row
