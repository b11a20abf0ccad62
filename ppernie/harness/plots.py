"""A plot of the results of a harness."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppernie.figures import save_figure

FILE = "results.png"


def write_plot(tasks: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """For each measure a panel, in it for each task that has it the prompts as dots, and their median.

    Args:
        tasks: results by name, as ``ppernie.harness.run.run_tasks`` returns them.

    Raises:
        UserError: the folder cannot be written.
    """
    from matplotlib.figure import Figure

    measures = list(dict.fromkeys(measure for result in tasks.values() for measure in result["measures"]))
    rows = [[name for name, result in tasks.items() if measure in result["measures"]] for measure in measures]
    heights = [0.8 + 0.3 * len(names) for names in rows]
    figure = Figure(figsize=(6.4, sum(heights)), layout="constrained")
    panels = figure.subplots(len(measures), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, measure, names in zip(panels, measures, rows, strict=True):
        for row, name in enumerate(names):
            values = [prompt["all"][measure] for prompt in tasks[name]["prompts"].values()]
            panel.plot(values, [row] * len(values), ".", color="0.65", zorder=1)
            panel.plot(tasks[name]["measures"][measure]["median"], row, "o", color="C0")
        panel.set_title(measure, fontsize=10)
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.grid(axis="x", alpha=0.3)
    save_figure(figure, path)
