"""Colour-magnitude diagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import InputTableError
from .figures import FLAGGED, GOOD, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

_OUTLIERS_PERCENT = 0.2
_MANY = 3000


def plot_colour_magnitude(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    bands: tuple[str, str] = ("r", "i"),
    extended: npt.ArrayLike | None = None,
    title: str = "",
    frame: FigureBase | None = None,
) -> FigureBase:
    """Draw the magnitude in a band against the colour that it makes with another, bright at the top.

    Parameters
    ----------
    first, second
        Magnitudes of the same objects in two bands, shape (n,); objects that lack one are left out.
    bands
        Their names: for r and i, the colour is r - i, and the magnitude that of i.
    extended
        Which objects are extended, shape (n,); they get a colour of their own. None: nothing is known.
    frame
        A figure or subfigure to draw on; a new figure if None.

    Returns
    -------
    The figure. Its view leaves out the most extreme colours.

    Raises
    ------
    InputTableError
        If the arrays differ in shape.
    """
    magnitudes = [np.ma.filled(np.ma.asarray(band).astype(np.float64), np.nan) for band in (first, second)]
    is_extended = (
        np.zeros(magnitudes[0].shape, dtype=bool) if extended is None else np.asarray(extended, dtype=bool)
    )
    if not magnitudes[0].shape == magnitudes[1].shape == is_extended.shape or magnitudes[0].ndim != 1:
        raise InputTableError(
            f"A colour needs two magnitudes of each object; got shapes {magnitudes[0].shape} and "
            f"{magnitudes[1].shape}"
            + ("." if extended is None else f", and {is_extended.shape} of extended ones.")
        )
    colour, magnitude = magnitudes[0] - magnitudes[1], magnitudes[1]
    shown = np.isfinite(colour) & np.isfinite(magnitude)
    figure = new_figure(5.5, 6.5) if frame is None else frame
    axes = figure.add_subplot(1, 1, 1)
    size, alpha = (2.0, 0.4) if shown.sum() > _MANY else (4.0, 0.6)
    kinds = ((is_extended, FLAGGED, "extended"), (~is_extended, GOOD, "objects" if extended is None else "stars"))
    for chosen, paint, label in kinds:
        chosen = chosen & shown
        if chosen.any():
            text = f"{label} ({chosen.sum()})"
            axes.plot(colour[chosen], magnitude[chosen], "o", ms=size, mew=0, alpha=alpha, color=paint, label=text)
    axes.set(xlabel=f"{bands[0]} - {bands[1]} (mag)", ylabel=f"{bands[1]} (mag)", title=title)
    axes.invert_yaxis()
    axes.grid(alpha=0.2)
    if shown.any():
        low, high = np.percentile(colour[shown], [_OUTLIERS_PERCENT, 100.0 - _OUTLIERS_PERCENT])
        margin = 0.1 * (high - low) + 0.05
        axes.set_xlim(low - margin, high + margin)
        axes.legend(loc="upper right", frameon=False, markerscale=8.0 / size)
    return figure
