"""Figures that need no window: making and saving them, and the colours that all of them share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, OutputError
from ..io.atomic import atomic_output, check_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure, FigureBase

GOOD, FLAGGED, GUIDE = "#1f5fa8", "#d1652a", "#555555"
"""Colours of good and of flagged sources, and of lines that guide the eye."""

_DPI = 150


def new_figure(width: float, height: float) -> Figure:
    """Make a figure of a size in inches; pyplot does not know it, so that nobody has to close it."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: FigureBase, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a figure whole or not at all.

    Parameters
    ----------
    figure
        A figure; of one that is part of another, the whole is written.
    path
        PNG, PDF or SVG file, or whatever else matplotlib writes, by its ending.
    overwrite
        Replace an existing file.

    Raises
    ------
    OutputError
        If the file cannot be written, or matplotlib does not know its ending.
    """
    whole: Any = figure.figure
    check_figure_output(path, overwrite=overwrite)
    with atomic_output(path, overwrite=overwrite) as temporary:
        try:
            whole.savefig(temporary, dpi=_DPI, bbox_inches="tight")
        except RuntimeError as error:  # a format that needs a program which is not there
            raise OutputError(f"{path} cannot be written: {error}.") from error


def check_figure_output(path: str | Path, *, overwrite: bool) -> None:
    """Tell before the work begins that a figure could not be written.

    Raises
    ------
    OutputError
        As `save_figure` would.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    endings = sorted(FigureCanvasBase.get_supported_filetypes())
    if Path(path).suffix[1:].lower() not in endings:
        raise OutputError(f"{path} cannot be written: figures have one of the endings .{', .'.join(endings)}.")
    check_output(path, overwrite=overwrite)


def check_colour(colour: str) -> str:
    """Return a colour that matplotlib knows.

    Raises
    ------
    ConfigurationError
        If it does not.
    """
    from matplotlib.colors import is_color_like

    if not is_color_like(colour):
        raise ConfigurationError(f"{colour!r} is no colour; give a name such as red, or #rrggbb.")
    return colour
