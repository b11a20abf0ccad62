"""Plots as PNG files; equal numbers give equal files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ppernie.files import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 110


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure. Raises UserError where the folder cannot be written."""
    with writing(path):
        # Without the version of the library in it.
        figure.savefig(path, dpi=_DPI, metadata={"Software": None})
