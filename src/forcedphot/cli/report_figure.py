"""The figure of a survey's report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units

from ..conventions import FloatArray
from ..display.figures import GUIDE, new_figure, save_figure
from ..display.light_curve import BAND_STYLES, plot_light_curve
from ..survey.light_curves import relative_flux
from ..survey.report import COLOUR, PULL_LIMITS, StringArray, SurveyReport, magnitudes, star_colours, star_pulls
from ..survey.varying import varying_pulls

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

_KINDS = {
    "isolated": ("#1f5fa8", "o", "isolated stars"),
    "stars": ("#7fb2e5", "s", "stars"),
    "galaxies": ("#d1652a", "^", "galaxies"),
}
_PURITY = "#2b8c4a"
_IMAGES = ("visit", "difference", "coadd")
_PULL_RANGE = 4.5
_LEAST = 3


def plot_report(report: SurveyReport, path: str | Path, *, title: str, overwrite: bool = False) -> None:
    """Draw completeness, purity, pulls, the largest fluxes, and colours; and pulls of what varies.

    Parameters
    ----------
    report
        What is drawn.
    path
        PNG, PDF or SVG file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    figure = new_figure(12.5, 14.0)
    rows: Any = figure.subfigures(4, 1)
    bands = list(dict.fromkeys(report.completeness["band"].tolist()))
    for number, (axes, band) in enumerate(zip(_row(rows[0], len(bands)), bands, strict=True)):
        _draw_completeness(axes, report, band, with_legend=number == 0)
    for axes, image in zip(_row(rows[1], len(_IMAGES)), _IMAGES, strict=True):
        _draw_pulls(axes, report, image, bands)
    places = [("variable", "visit"), ("variable", "difference"), ("transient", "difference")]
    for axes, (kind, image) in zip(_row(rows[2], len(places)), places, strict=True):
        _draw_varying(axes, report, kind, image, bands)
    visits, ratio, colours = _row(rows[3], 3)
    _draw_visits(visits, report.pulls, bands)
    _draw_ratio(ratio, report, bands)
    _draw_colours(colours, report)
    figure.suptitle(f"{title}: catalogs and truth")
    save_figure(figure, path, overwrite=overwrite)


def plot_rising(report: SurveyReport, path: str | Path, *, overwrite: bool = False) -> None:
    """Draw the forced difference fluxes of the transient that rises from nothing, on its true light curve.

    Parameters
    ----------
    report
        What is drawn.
    path
        PNG, PDF or SVG file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from astropy.table import Table as NewTable

    fluxes, rising = report.varying_fluxes, report.rising
    measured = fluxes[
        (np.asarray(fluxes["light_curve"]) == "rising") & (np.asarray(fluxes["image"]) == "difference")
    ]
    curve = NewTable({"mjd": measured["mjd"], "band": measured["band"]})
    curve["psfDiffFlux"], curve["psfDiffFluxErr"] = measured["flux"] * units.nJy, measured["flux_err"] * units.nJy

    def true_flux(band: str, mjd: FloatArray) -> FloatArray:
        result: FloatArray = rising[f"{band}_flux"][0] * relative_flux(rising, band, mjd)[0]
        return result

    figure = plot_light_curve(curve, flux="psfDiffFlux", model=true_flux, title="A transient without a host")
    save_figure(figure, path, overwrite=overwrite)


def _row(frame: FigureBase, n_axes: int) -> list[Axes]:
    return list(frame.subplots(1, n_axes, squeeze=False)[0])


def _draw_completeness(axes: Axes, report: SurveyReport, band: str, *, with_legend: bool) -> None:
    table = report.completeness[np.asarray(report.completeness["band"]) == band]
    for name, (colour, marker, label) in _KINDS.items():
        _draw_fraction(axes, table, f"{name}_found", name, color=colour, marker=marker, label=label)
    table = report.purity[np.asarray(report.purity["band"]) == band]
    _draw_fraction(axes, table, "real", "objects", color=_PURITY, marker="D", ls="--", label="purity of objects")
    axes.set(
        xlabel=f"{band} (mag)", ylabel="fraction", ylim=(-0.05, 1.08), title=f"Completeness and purity, {band}"
    )
    axes.grid(alpha=0.2)
    if with_legend:
        axes.legend(loc="lower left", frameon=False)


def _draw_fraction(axes: Axes, table: Table, part: str, whole: str, **style: Any) -> None:
    """Draw a fraction with its binomial error, in bins that have enough."""
    table = table[np.asarray(table[whole]) >= _LEAST]
    n = np.asarray(table[whole])
    fraction = np.asarray(table[part]) / n
    magnitude = (np.asarray(table["mag_low"]) + np.asarray(table["mag_high"])) / 2
    # Of 0 or 1 in few, the error is not 0: half a source may be the other way.
    smooth = (np.asarray(table[part]) + 0.5) / (n + 1)
    axes.errorbar(magnitude, fraction, np.sqrt(smooth * (1 - smooth) / n), ms=4, lw=1.3, elinewidth=0.6, **style)


def _draw_pulls(axes: Axes, report: SurveyReport, image: str, bands: list[str]) -> None:
    pull, counts = star_pulls(report.stars)
    counts &= np.asarray(report.stars["image"]) == image
    low, high = PULL_LIMITS
    _draw_histograms(axes, pull[counts], np.asarray(report.stars["band"])[counts], bands)
    axes.set_title(f"Stars, {image}, {low:.0f} to {high:.0f} sigma")


def _draw_varying(axes: Axes, report: SurveyReport, kind: str, image: str, bands: list[str]) -> None:
    table = report.varying_fluxes
    chosen = (np.asarray(table["kind"]) == kind) & (np.asarray(table["image"]) == image)
    _draw_histograms(axes, varying_pulls(table)[chosen], np.asarray(table["band"])[chosen], bands)
    axes.set_title(f"{kind.capitalize()}s, {image}")


def _draw_histograms(axes: Axes, pull: FloatArray, band: StringArray, bands: list[str]) -> None:
    """Draw the distribution of pulls in each band, beside a Gaussian."""
    edges = np.linspace(-_PULL_RANGE, _PULL_RANGE, 19).tolist()
    for each in bands:
        values = pull[band == each]
        if len(values):
            label = f"{each}: {len(values)}, mean {values.mean():.2f}, rms {values.std():.2f}"
            shown = np.clip(values, edges[0], edges[-1])
            axes.hist(shown, edges, density=True, histtype="step", lw=1.6, color=BAND_STYLES[each][0], label=label)
    x = np.linspace(-_PULL_RANGE, _PULL_RANGE, 200)
    axes.plot(x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), color=GUIDE, lw=1, ls="--")
    axes.set(xlabel="(measured - true) / error", ylim=(0, 0.8))
    axes.legend(loc="upper left", frameon=False)
    axes.grid(alpha=0.2)


def _draw_visits(axes: Axes, pulls: Table, bands: list[str]) -> None:
    chosen = pulls[(np.asarray(pulls["image"]) == "visit") & (np.asarray(pulls["visit"]) > 0)]
    order = {visit: number for number, visit in enumerate(sorted(set(chosen["visit"].tolist())))}
    for band in bands:
        table = chosen[np.asarray(chosen["band"]) == band]
        x = [order[visit] + 1 for visit in table["visit"].tolist()]
        n, rms = np.maximum(np.asarray(table["n"]), 1), np.asarray(table["rms"])
        colour, marker = BAND_STYLES[band]
        axes.errorbar(x, table["mean"], rms / np.sqrt(n), fmt=marker, ms=5, color=colour, label=f"mean, {band}")
        axes.errorbar(
            x, rms, rms / np.sqrt(2 * n), fmt=marker, ms=5, mfc="none", color=colour, label=f"rms, {band}"
        )
    for value in (0.0, 1.0):
        axes.axhline(value, color=GUIDE, lw=1, ls="--")
    axes.set(xlabel="visit", ylim=(-0.6, 2.0), title="Pulls by visit")
    axes.legend(loc="upper left", frameon=False, ncols=len(bands), columnspacing=0.8, handletextpad=0.2)
    axes.grid(alpha=0.2)


def _draw_ratio(axes: Axes, report: SurveyReport, bands: list[str]) -> None:
    stars = report.stars[np.asarray(report.stars["image"]) == "coadd"]
    stars = stars[np.asarray(stars["true_flux"]) > PULL_LIMITS[0] * np.asarray(stars["flux_err"])]
    for band in bands:
        table = stars[np.asarray(stars["band"]) == band]
        true_flux = np.asarray(table["true_flux"])
        percent = 100 * (np.asarray(table["flux"]) / true_flux - 1)
        colour, marker = BAND_STYLES[band]
        error = 100 * np.asarray(table["flux_err"]) / true_flux
        axes.errorbar(
            magnitudes(true_flux), percent, error, fmt=marker, ms=3.5, lw=0.7, alpha=0.7, color=colour, label=band
        )
    floors = [
        f"{row['band']} {100 * row['floor']:.2f} %"
        for row in report.floor
        if row["image"] == "coadd" and row["n"] > 1
    ]
    axes.axhline(0.0, color=GUIDE, lw=1)
    axes.set(xlabel="true magnitude", ylabel="measured / true flux - 1 (%)", ylim=(-12, 12))
    axes.set_title(f"Coadds; floor {', '.join(floors)}" if floors else "Coadds")
    axes.legend(loc="upper left", frameon=False)
    axes.grid(alpha=0.2)


def _draw_colours(axes: Axes, report: SurveyReport) -> None:
    magnitude, wrong, noise = star_colours(report.stars)
    first, second = COLOUR
    axes.errorbar(magnitude, wrong, noise, fmt="o", ms=3.5, lw=0.7, alpha=0.6, color=_KINDS["isolated"][0])
    axes.axhline(0.0, color=GUIDE, lw=1)
    axes.set(
        xlabel=f"true {first} (mag)",
        ylabel=f"{first} - {second}, measured - true (mag)",
        ylim=(-0.5, 0.5),
        title=f"Colours, {len(wrong)} isolated stars",
    )
    axes.grid(alpha=0.2)
