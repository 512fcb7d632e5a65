"""Light curves: the fluxes of a forced-source table against time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..catalog.tables import find_column, float_column
from ..conventions import BoolArray, FloatArray
from ..errors import InputTableError
from .figures import FLAGGED, GUIDE, new_figure

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import FigureBase

TIME_COLUMNS = ("midpointMjdTai", "expMidptMJD", "midPointTai", "mjd", "MJD")
"""Names of columns of times, MJD."""

BAND_STYLES = {
    "u": ("#6a51a3", "o"),
    "g": ("#2b8c4a", "^"),
    "r": ("#c8372d", "s"),
    "i": ("#b07a00", "v"),
    "z": ("#1f5fa8", "D"),
    "y": ("#444444", "p"),
}
"""Colour and symbol of each band."""

_CURVE_POINTS = 400


def plot_light_curve(
    table: Table,
    *,
    flux: str = "psfFlux",
    flags: Sequence[str] | None = None,
    time_column: str | None = None,
    visits: Table | None = None,
    model: Callable[[str, FloatArray], FloatArray] | None = None,
    title: str = "",
    frame: FigureBase | None = None,
) -> FigureBase:
    """Draw the fluxes of one object against time, a colour and a symbol for each band.

    Parameters
    ----------
    table
        Rows of a forced-source table of one object: the flux, its error (``psfFluxErr``) and ``band``.
        Flagged points are open symbols; rows without a flux are left out, and counted.
    flux
        Name of the flux, such as ``psfFlux`` and ``psfDiffFlux``.
    flags
        Names of the flags that count; if None, that of the flux (``psfFlux_flag``), if there is one.
    time_column
        Name of the column of times, MJD, in this table or in ``visits``; guessed if None.
    visits
        A table with the time of each ``visit``, where this table has no times.
    model
        What the fluxes are compared with: takes a band and times (MJD, shape (n,)), and returns fluxes. It becomes
        a line for each band, and below are the fluxes less those of the model.
    frame
        A figure or subfigure to draw on; a new figure if None.

    Returns
    -------
    The figure.

    Raises
    ------
    InputTableError
        If a column is missing, or a visit is not in the table of visits.
    """
    for name in (flux, f"{flux}Err", "band", *(flags or ())):
        find_column(table, name, (name,))
    if flags is None:
        flags = [name for name in (f"{flux}_flag",) if name in table.colnames]
    mjd = _times(table, visits, time_column)
    value, error = float_column(table, flux), float_column(table, f"{flux}Err")
    flagged = np.zeros(len(table), dtype=bool)
    for name in flags:
        flagged |= np.ma.filled(np.ma.asarray(table[name]), True).astype(bool)
    shown = np.isfinite(mjd) & np.isfinite(value)
    figure = new_figure(8.0, 4.5 if model is None else 6.0) if frame is None else frame
    ratios = [1] if model is None else [2.5, 1]
    panels = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    axes, last = panels[0], panels[-1]
    for each in panels:
        each.axhline(0.0, color=GUIDE, lw=0.8, alpha=0.6)
        each.grid(alpha=0.2)
    names = np.asarray(table["band"]).astype(str)
    for band in sorted(
        set(names), key=lambda name: (list(BAND_STYLES).index(name) if name in BAND_STYLES else 99, name)
    ):
        chosen = shown & (names == band)
        if model is not None and chosen.any():
            curve_mjd = np.linspace(mjd[shown].min(), mjd[shown].max(), _CURVE_POINTS)
            axes.plot(curve_mjd, model(band, curve_mjd), lw=1, alpha=0.7, color=_style(band)[0])
            residual = value - model(band, mjd)
            _draw_band(last, band, mjd, residual, error, chosen, flagged)
        _draw_band(axes, band, mjd, value, error, chosen, flagged)
    unit = f" ({table[flux].unit})" if table[flux].unit else ""
    axes.set(ylabel=f"{flux}{unit}")
    last.set(xlabel="MJD")
    if model is not None:
        last.set(ylabel=f"less the model{unit}")
    last.ticklabel_format(axis="x", useOffset=False, style="plain")
    if shown.any():
        axes.legend(loc="best", frameon=False, ncols=2)
    n_lost = int((~shown).sum())
    lost = f"{n_lost} of {len(table)} without a flux" if n_lost else ""
    axes.set_title(", ".join(part for part in (title, lost) if part))
    return figure


def _style(band: str) -> tuple[str, str]:
    return BAND_STYLES.get(band, (FLAGGED, "X"))


def _draw_band(
    axes: Any,
    band: str,
    mjd: FloatArray,
    value: FloatArray,
    error: FloatArray,
    chosen: BoolArray,
    flagged: BoolArray,
) -> None:
    colour, marker = _style(band)
    for rows, face, alpha, note in (
        (chosen & ~flagged, colour, 0.9, ""),
        (chosen & flagged, "none", 0.5, ", flagged"),
    ):
        if rows.any():
            axes.errorbar(
                mjd[rows],
                value[rows],
                np.where(np.isfinite(error[rows]) & (error[rows] > 0.0), error[rows], 0.0),
                fmt=marker,
                ms=5,
                lw=1,
                color=colour,
                mfc=face,
                alpha=alpha,
                label=f"{band}{note} ({rows.sum()})",
            )


def _times(table: Table, visits: Table | None, time_column: str | None) -> FloatArray:
    candidates = TIME_COLUMNS if time_column is None else (time_column,)
    if visits is None or any(name in table.colnames for name in candidates):
        return float_column(table, find_column(table, "time", candidates))
    for each in (table, visits):
        find_column(each, "visit", ("visit",))
    known = np.asarray(visits["visit"])
    order = np.argsort(known)
    wanted = np.asarray(table["visit"])
    place = np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)
    missing = wanted[known[order][place] != wanted] if len(known) else wanted
    if len(missing):
        raise InputTableError(f"Visit {missing[0]} of the light curve is not in the table of visits.")
    mjd: FloatArray = float_column(visits, find_column(visits, "time", candidates))[order][place]
    return mjd
