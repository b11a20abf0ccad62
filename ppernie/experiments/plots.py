"""Plots of an experiment as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ppernie.experiments.sections import Experiment
from ppernie.experiments.statistics import aligned
from ppernie.experiments.summary import Course, Summary
from ppernie.figures import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_X = {"steps": "updates", "seconds": "seconds of training", "tokens": "tokens without padding"}


def write_plots(experiment: Experiment, summary: Summary, folder: Path) -> None:
    """Writes ``columns.png``, and ``curve_NAME.png`` for every curve.

    Raises:
        UserError: the folder cannot be written.
    """
    save_figure(_columns(experiment, summary), folder / "columns.png")
    for name, course in summary.curves.items():
        save_figure(_curve(experiment, name, course), folder / f"curve_{name}.png")


def _columns(experiment: Experiment, summary: Summary) -> Figure:
    """For every column a panel: each variant's seeds as dots, and mean ± sample standard deviation."""
    from matplotlib.figure import Figure

    columns, variants = experiment.report.columns, list(experiment.variants)
    figure = Figure(figsize=(1.2 + 2.6 * len(columns), 1.4 + 0.45 * len(variants)), layout="constrained")
    panels = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
    for panel, (title, measure) in zip(panels, columns.items(), strict=True):
        for row, variant in enumerate(variants):
            entry = summary.columns[title][variant]
            panel.plot(list(entry.seeds.values()), [row] * len(entry.seeds), ".", color="0.65", zorder=1)
            if entry.spread is not None:
                error = entry.spread.std or 0.0
                panel.errorbar(entry.spread.mean, row, xerr=error, fmt="o", capsize=4, color=f"C{row % 10}")
        panel.set_title(title, fontsize=10)
        panel.set_xlabel(f"{measure.better} is better", fontsize=8)
        panel.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(variants)), variants)
    panels[0].set_ylim(len(variants) - 0.5, -0.5)
    return figure


def _curve(experiment: Experiment, name: str, course: Course) -> Figure:
    """Each variant's mean over seeds, in a band of one sample standard deviation."""
    from matplotlib.figure import Figure

    curve = experiment.report.curves[name]
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    panel = figure.subplots()
    for number, (variant, seeds) in enumerate(course.points.items()):
        if not seeds:
            continue
        _, x, values = aligned(list(seeds.values()))
        place, mean, color = x.mean(axis=0), values.mean(axis=0), f"C{number % 10}"
        panel.plot(place, mean, color=color, marker=".", label=variant)
        if len(seeds) > 1:
            std = np.std(values, axis=0, ddof=1)
            panel.fill_between(place, mean - std, mean + std, color=color, alpha=0.2, linewidth=0)
    panel.set_xlabel(_X[curve.x])
    panel.set_ylabel(experiment.shown(curve))
    panel.set_title(name, fontsize=10)
    panel.grid(alpha=0.3)
    if any(course.points.values()):
        panel.legend(fontsize=8)
    return figure
