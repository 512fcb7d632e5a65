"""forcedphot demo: measure simulated images, of which the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .command import Command, make_folder, say

if TYPE_CHECKING:
    from astropy.table import Table

    from ..simulation import Kind

_N_SOURCES = 400
_SEPARATION = 60.0  # pixels: nobody's light is in anybody's stamp
_SHOWN_ROWS = 8


@click.command("demo", cls=Command)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("forcedphot-demo"),
    show_default=True,
    metavar="FOLDER",
    help="Where to write tables and plot; earlier ones are replaced.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Another number, another sky."
)
def command(output: Path, seed: int) -> None:
    """Simulate a visit image and a coadd, measure stars on both, and compare with the truth."""
    from ..io.catalogs import write_catalog
    from .plots import find_flux, plot_flux_ratio

    make_folder(output)
    compared = {}
    kinds: tuple[Kind, ...] = ("visit", "coadd")
    for kind in kinds:
        result = _measure(kind, seed)
        write_catalog(result, output / f"{kind}.ecsv", overwrite=True)
        compared[kind] = result["truth_flux"].data, find_flux(result)
    plot_flux_ratio(compared, output / "flux_ratio.png", overwrite=True)
    say(f"\nTables and plot (flux_ratio.png) are in {output}")


def _measure(kind: Kind, seed: int) -> Table:
    """Simulate an image, measure it, say how well, and return the table with the truth."""
    import numpy as np

    from ..one_call import measure
    from ..simulation import simulate_exposure

    field = simulate_exposure(kind=kind, n_sources=_N_SOURCES, min_separation=_SEPARATION, seed=seed)
    result = measure(field.exposure, field.catalog, progress=False)
    result["truth_flux"] = field.catalog["flux"]
    ratio = np.asarray(result["base_PsfFlux_flux"] / result["truth_flux"])
    pulls = np.asarray((result["base_PsfFlux_flux"] - result["truth_flux"]) / result["base_PsfFlux_fluxErr"])
    say(f"\nSimulated {kind} ({field.exposure.identity}), pixels {field.exposure.bbox}")
    columns = ["objectId", "coord_ra", "coord_dec", "base_PsfFlux_flux", "base_PsfFlux_fluxErr", "truth_flux"]
    say("\n".join(result[columns][:_SHOWN_ROWS].pformat(max_width=-1)))
    say(
        f"{len(result)} stars: measured / true flux has the median {np.median(ratio):.4f}; "
        f"(measured - true) / error has the mean {pulls.mean():.2f} and the rms {pulls.std():.2f}"
    )
    return result
