"""measure(): forced photometry in one call, with defaults that most people want."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .catalog.tables import DEC_COLUMNS, ID_COLUMNS, RA_COLUMNS, find_column
from .driver import ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask
from .plugins import check_plugin_names

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table


def measure(
    image: Any,
    positions: Table | SkyCoord,
    *,
    plugins: Sequence[str] | None = None,
    radii: Sequence[float] | None = None,
    flux_unit: str = "best",
    magnitudes: bool = True,
    psf_footprint_scaling: float = 3.0,
    id_column: str | None = None,
    ra_column: str | None = None,
    dec_column: str | None = None,
    n_threads: int = 0,
    progress: bool = True,
    config: ForcedMeasurementDriverConfig | None = None,
) -> Table:
    """Measure fluxes at given positions on an image, in one line.

    Parameters
    ----------
    image
        An `Exposure`, an image of lsst.images, or the path of a file.
    positions
        A table (columns found by their usual names, or named here), or sky coordinates.
    plugins
        Plugins to run; the driver's default ones if None.
    radii
        Aperture radii, pixels.
    flux_unit
        "nJy", "image", "ct", or "best" of these for the image; see the driver's ``fluxUnit``.
    magnitudes
        Whether to add AB magnitudes (with "best", if the image is calibrated).
    psf_footprint_scaling
        See `ForcedMeasurementDriverTask.runFromAstropy`.
    id_column, ra_column, dec_column
        Names of the table's columns.
    n_threads
        Threads; 0 for all processors.
    progress
        Whether to show a progress bar for long runs.
    config
        Driver configuration to start from; the arguments above are set on a copy of it.

    Returns
    -------
    The driver's table, row for row with the positions.

    Raises
    ------
    ForcedPhotError
        As `ForcedMeasurementDriverTask.runFromAstropy` does.

    Examples
    --------
    >>> from forcedphot.simulation import simulate_exposure
    >>> field = simulate_exposure(shape=(300, 300), n_sources=5, seed=1)
    >>> table = measure(field.exposure, field.catalog)
    >>> table["slot_PsfFlux_flux"].unit, bool((table["slot_PsfFlux_magErr"] > 0).all())
    (Unit("nJy"), True)
    """
    config = ForcedMeasurementDriverConfig() if config is None else copy.deepcopy(config)
    config.fluxUnit, config.doMagnitudes = flux_unit, magnitudes
    config.numThreads, config.doProgress = n_threads, progress
    if plugins is not None:
        select_plugins(config, plugins)
    if radii is not None:
        config.measurement.plugins["base_CircularApertureFlux"].radii = [float(radius) for radius in radii]
    table = _as_table(positions)
    return ForcedMeasurementDriverTask(config=config).runFromAstropy(
        table,
        image,
        id_column_name=id_column or find_column(table, "id", ID_COLUMNS),
        ra_column_name=ra_column or find_column(table, "ra", RA_COLUMNS),
        dec_column_name=dec_column or find_column(table, "dec", DEC_COLUMNS),
        psf_footprint_scaling=psf_footprint_scaling,
    )


def select_plugins(config: ForcedMeasurementDriverConfig, names: Sequence[str]) -> None:
    """Run these plugins, and leave out the slots that none of them fills.

    The plugin of the centroid slot always runs.

    Raises
    ------
    ConfigurationError
        If a name is not that of a plugin.
    """
    check_plugin_names(names)
    slots = config.measurement.slots
    running = [*dict.fromkeys([slots.centroid, *names])]
    config.measurement.plugins.names = running
    for slot, target in slots.toDict().items():
        if target is not None and not any(target.startswith(name) for name in running):
            setattr(slots, slot, None)


def _as_table(positions: Table | SkyCoord) -> Table:
    """Turn sky coordinates into a table with ids 0, 1, ...; return a table as it is."""
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    if not isinstance(positions, SkyCoord):
        return positions
    icrs = positions.icrs.ravel()
    return Table(
        {"objectId": np.arange(len(icrs)), "coord_ra": icrs.ra.to("deg"), "coord_dec": icrs.dec.to("deg")}
    )
