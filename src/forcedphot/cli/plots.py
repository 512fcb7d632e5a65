"""Plots of measured tables, drawn without a display."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..conventions import AB_ZERO_POINT_NJY, BoolArray, FloatArray
from ..display.figures import FLAGGED, GOOD, GUIDE, new_figure, save_figure
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class MeasuredFlux(NamedTuple):
    """A flux with its error and its flag, all of shape (n,)."""

    name: str
    unit: str
    value: FloatArray
    error: FloatArray
    flagged: BoolArray


def flux_name(columns: Sequence[str]) -> str:
    """Choose the PSF flux among the names of measured columns, or the first flux.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    names = [name for name in columns if f"{name}Err" in columns and name.lower().endswith("flux")]
    if not names:
        raise ConfigurationError("There is no flux to plot; add a plugin that measures one.")
    return next((name for name in names if name.startswith("base_PsfFlux_")), names[0])


def find_flux(table: Table) -> MeasuredFlux:
    """Return the flux of a measured table that `flux_name` chooses."""
    name = flux_name(table.colnames)
    flag = f"{name.rsplit('_', 1)[0]}_flag"
    flagged = np.asarray(table[flag]) if flag in table.colnames else np.zeros(len(table), dtype=bool)
    unit = str(table[name].unit or "")
    return MeasuredFlux(name, unit, np.asarray(table[name]), np.asarray(table[f"{name}Err"]), flagged)


def plot_overview(table: Table, path: str | Path, *, title: str, overwrite: bool = False) -> None:
    """Draw where the sources are and how significant their fluxes.

    Parameters
    ----------
    table
        Output of the driver.
    path
        PNG, PDF or SVG file.

    Raises
    ------
    ConfigurationError
        If the table has no flux.
    OutputError
        If the file cannot be written.
    """
    flux = find_flux(table)
    with np.errstate(divide="ignore", invalid="ignore"):
        significance = np.where(np.isfinite(flux.error), flux.value / flux.error, np.nan)
    figure = new_figure(11.0, 4.8)
    left, right = figure.subplots(1, 2)
    _draw_map(figure, left, table, significance)
    shown = np.isfinite(significance)
    for chosen, colour, label in ((~flux.flagged, GOOD, "good"), (flux.flagged, FLAGGED, "flagged")):
        chosen = chosen & shown
        if chosen.any():
            label = f"{label} ({chosen.sum()})"
            right.plot(
                flux.value[chosen], significance[chosen], "o", ms=4, alpha=0.6, mew=0, color=colour, label=label
            )
    if shown.any():
        width = 3.0 * float(np.median(flux.error[shown]))
        right.set_xscale("asinh", linear_width=width)
        right.set_xticks(_asinh_ticks(width, flux.value[shown]))
        right.xaxis.set_major_formatter("{x:g}")
        right.legend(loc="upper left", frameon=False)
    right.set_yscale("asinh", linear_width=3.0)
    right.axhline(5.0, color=GUIDE, lw=1, ls="--")
    right.annotate("S/N 5", (0.99, 5.0), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=GUIDE)
    right.set(xlabel=f"{flux.name} ({flux.unit})", ylabel="signal to noise")
    right.grid(alpha=0.2)
    n_lost = int((~shown).sum())
    figure.suptitle(f"{title}: {len(table)} sources" + (f", {n_lost} without a flux" if n_lost else ""))
    save_figure(figure, path, overwrite=overwrite)


def plot_flux_ratio(
    fields: Mapping[Any, tuple[FloatArray, MeasuredFlux]], path: str | Path, *, overwrite: bool = False
) -> None:
    """Draw measured over true flux, and its error, against magnitude.

    Parameters
    ----------
    fields
        True flux, nJy, and measured flux, by title; a column each.
    path
        PNG, PDF or SVG file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    figure = new_figure(5.5 * len(fields), 6.0)
    axes = figure.subplots(2, len(fields), sharex="col", sharey="row", squeeze=False, height_ratios=[3, 2])
    for (upper, lower), (title, (truth, flux)) in zip(axes.T, fields.items(), strict=True):
        good = ~flux.flagged
        magnitude = AB_ZERO_POINT_NJY - 2.5 * np.log10(truth[good])
        ratio, error = flux.value[good] / truth[good], flux.error[good] / truth[good]
        upper.axhline(1.0, color=GUIDE, lw=1)
        upper.errorbar(magnitude, ratio, error, fmt="o", ms=3, lw=0.8, color=GOOD, ecolor=GOOD, alpha=0.6)
        upper.set_title(f"{title}: {good.sum()} sources, median {np.median(ratio):.4f}")
        lower.semilogy(
            magnitude, np.abs(ratio - 1.0), "o", ms=3, mew=0, alpha=0.6, color=GOOD, label="|ratio - 1|"
        )
        order = np.argsort(magnitude)
        lower.semilogy(magnitude[order], error[order], color=FLAGGED, lw=1.5, label="1-sigma error")
        lower.set_ylim(bottom=error.min() / 30.0)  # a lucky hit is of no interest
        lower.set_xlabel("true AB magnitude")
        lower.legend(loc="upper left", frameon=False)
        for ax in (upper, lower):
            ax.grid(alpha=0.2)
    axes[0, 0].set_ylabel("measured / true flux")
    axes[1, 0].set_ylabel("relative error")
    axes[0, 0].set_ylim(0.4, 1.6)
    save_figure(figure, path, overwrite=overwrite)


def _draw_map(figure: Figure, ax: Axes, table: Table, significance: FloatArray) -> None:
    from matplotlib.colors import AsinhNorm

    x, y = (np.asarray(table[f"slot_Centroid_{axis}"]) for axis in "xy")
    finite = np.isfinite(significance)
    ax.plot(x[~finite], y[~finite], "x", ms=5, color=FLAGGED, label="no flux")
    # Brighter than S/N 1000 all sources look alike.
    colours = np.clip(significance[finite], -5.0, 1000.0)
    points = ax.scatter(x[finite], y[finite], c=colours, s=12, norm=AsinhNorm(3.0, -5.0, 1000.0), cmap="viridis")
    bar = figure.colorbar(points, ax=ax, ticks=[-5, 0, 5, 20, 100, 1000], label="signal to noise")
    bar.ax.set_yticklabels(["-5", "0", "5", "20", "100", "1000"])
    bar.minorticks_off()
    ax.set(xlabel="x (pixels)", ylabel="y (pixels)", aspect="equal")
    if not finite.all():
        ax.legend(loc="upper right")


def _asinh_ticks(width: float, values: FloatArray) -> list[float]:
    """Return 0 and the powers of ten that an asinh axis shows apart from it."""
    first = math.ceil(math.log10(width))
    powers = [10.0**power for power in range(first, first + 12)]
    low, high = float(values.min()), float(values.max())
    return [*(-power for power in powers if -power >= low), 0.0, *(power for power in powers if power <= high)]
