"""forcedphot cmd: the colour-magnitude diagram of a repository's stars."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from .command import Command, say

if TYPE_CHECKING:
    from astropy.table import Table

    from ..conventions import BoolArray

_SIGNAL_TO_NOISE = 5.0


class _Bands(click.ParamType[tuple[str, str]]):
    """Two bands."""

    name = "bands"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        parts = value if isinstance(value, tuple) else [part.strip() for part in str(value).split(",")]
        if len(parts) != 2 or not all(parts):
            self.fail(f"{value!r} is no pair of bands such as r,i", param, ctx)
        return parts[0], parts[1]


@click.command(
    "cmd",
    cls=Command,
    epilog="\b\nExamples:\n"
    "  forcedphot cmd surveys/dp1 --bands r,i -o diagram.png\n"
    "  forcedphot cmd surveys/hsc --tract 0 --patch 10 -o diagram.png --table stars.ecsv",
)
@click.argument("repository")
@click.option("--bands", type=_Bands(), default="r,i", show_default=True, metavar="BAND,BAND", help="Which bands.")
@click.option("--collections", metavar="NAME[,NAME...]", help="Collections to search; all if none.")
@click.option("--tract", type=int, help="Only objects of this tract.")
@click.option("--patch", type=int, help="Only objects of this patch, a number.")
@click.option(
    "--snr",
    "signal_to_noise",
    type=click.FloatRange(min=0),
    default=_SIGNAL_TO_NOISE,
    show_default=True,
    help="Leave out stars whose flux has less than this times its error, in either band; 0: show all.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FIGURE.png",
    help="Diagram to write (PNG, PDF, SVG).",
)
@click.option(
    "--table",
    "table_path",
    type=click.Path(path_type=Path),
    metavar="FILE.ecsv",
    help="Write magnitudes of all objects too, and which of them are in the diagram (ECSV, Parquet, FITS).",
)
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def command(repository: str, bands: tuple[str, str], output: Path, **options: Any) -> None:
    """Draw the colour-magnitude diagram of the stars in REPOSITORY, a Butler repository or its label.

    Stars are objects that are primary (in the inner part of a patch, deblended, no empty sky), not extended, and
    have PSF fluxes without flags in both bands. The fluxes come from tables of objects (object, objectTable), or
    from the forced catalogs of coadds (deepCoadd_forced_src).
    """
    from ..display import plot_colour_magnitude
    from ..display.figures import check_figure_output, save_figure
    from ..io.catalogs import check_catalog_output, write_catalog
    from ..multi_band import read_bands, select_stars
    from .repositories import open_to_read

    overwrite, table_path = options["overwrite"], options["table_path"]
    check_figure_output(output, overwrite=overwrite)
    if table_path is not None:
        check_catalog_output(table_path, overwrite=overwrite)
    with open_to_read(repository, options["collections"], wanted="the tables") as butler:
        table = read_bands(butler, bands, tract=options["tract"], patch=options["patch"])
    shown = select_stars(table, bands, signal_to_noise=options["signal_to_noise"])
    magnitudes = [np.asarray(table[f"{band}_psfMag"])[shown] for band in bands]
    figure = plot_colour_magnitude(*magnitudes, bands=bands, extended=np.zeros(int(shown.sum()), dtype=bool))
    save_figure(figure, output, overwrite=overwrite)
    if table_path is not None:
        table["is_shown"] = shown
        write_catalog(table, table_path, overwrite=overwrite)
    say(f"{output}: {_count(table, bands, shown)}")


def _count(table: Table, bands: tuple[str, str], shown: BoolArray) -> str:
    is_primary = np.asarray(table["is_primary"])
    is_stellar = is_primary & np.asarray(table["is_stellar"])
    is_good = is_stellar & np.asarray(table[f"{bands[0]}_is_good"]) & np.asarray(table[f"{bands[1]}_is_good"])
    return (
        f"{len(table)} objects, {is_primary.sum()} of them primary, {is_stellar.sum()} of these stellar, "
        f"{is_good.sum()} with good fluxes, {shown.sum()} shown"
    )
