"""forcedphot measure: fluxes at the positions of a catalog, on one image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from .catalog_files import find_columns
from .command import Command, Place, say
from .plain_images import is_plain_image, plain_image_options, read_image, with_psf

if TYPE_CHECKING:
    from astropy.table import Table

    from ..driver import ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask
    from ..exposure import Exposure

_MARGIN = 100
"""Pixels around the box that are read too: more than the default apertures, PSF images and footprints reach."""
_MAX_PSF_SIGMA = 20.0
_OF_KNOWN_REACH = {
    "base_TransformedCentroidFromCoord",
    "base_PixelFlags",
    "base_PsfFlux",
    "base_CircularApertureFlux",
}
"""Plugins whose settings say how far they look."""

type Columns = dict[str, str]


class _Numbers(click.ParamType[tuple[float, ...]]):
    """Comma-separated numbers."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers such as 3,4.5,6", param, ctx)


class _Bbox(click.ParamType[tuple[int, int, int, int]]):
    """A box of pixels: x0,y0,width,height."""

    name = "box"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int, int]:
        if isinstance(value, tuple):
            return value
        try:
            x0, y0, width, height = (int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no box x0,y0,width,height of whole pixels", param, ctx)
        if width <= 0 or height <= 0:
            self.fail(f"the box {value!r} has no pixels", param, ctx)
        return x0, y0, width, height


@click.command(
    "measure",
    cls=Command,
    epilog="\b\nExamples:\n"
    "  forcedphot measure calexp.fits objects.csv -o fluxes.parquet --magnitudes --plot overview.png\n"
    "  forcedphot measure visit_image.fits objects.fits -o fluxes.fits --radii 3,6,12 --bbox 1000,2000,500,500\n"
    "  forcedphot measure sciimg.fits positions.csv -o fluxes.csv --variance unc.fits --psf psf.fits --ra alpha "
    "--dec delta",
)
@click.argument("image", type=Place())
@click.argument("catalog", type=Place())
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Table to write, of the format of its ending.",
)
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option("--plugins", multiple=True, metavar="NAME[,NAME...]", help="Plugins to run, not the default ones.")
@click.option("--radii", type=_Numbers(), metavar="R[,R...]", help="Radii of circular apertures, pixels.")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Configuration, a YAML or TOML file."
)
@click.option(
    "-c", "assignments", multiple=True, metavar="KEY=VALUE", help="One configuration, such as doApCorr=false."
)
@click.option(
    "--flux-unit",
    type=click.Choice(["ct", "image", "nJy", "best"]),
    help="nJy: calibrated; image: as in the image, with its unit; ct: as the pipelines name it; "
    "best (default): nJy if the image is calibrated.",
)
@click.option("--magnitudes", is_flag=True, help="Add AB magnitudes.")
@click.option("--id", "id_column", metavar="COLUMN", help="Column of ids; guessed if not given.")
@click.option("--ra", "ra_column", metavar="COLUMN", help="Column of right ascensions (deg, or its own unit).")
@click.option("--dec", "dec_column", metavar="COLUMN", help="Column of declinations.")
@click.option("--hdu", metavar="NAME|NUMBER", help="HDU of a FITS catalog; its first table if not given.")
@click.option(
    "--bbox",
    type=_Bbox(),
    metavar="X0,Y0,WIDTH,HEIGHT",
    help="Measure only the positions in this box; little more of the image is read.",
)
@click.option(
    "--psf-footprint-scaling",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    help="Size of the footprints for mask flags, in units of the PSF's ellipse.",
)
@click.option("--threads", type=click.IntRange(min=0), help="Threads; 0 (default): all processors.")
@click.option(
    "--off-image",
    type=click.Choice(["flag", "raise"]),
    help="Positions off the image: flagged rows (default) or an error.",
)
@plain_image_options
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw the result.")
@click.pass_context
def command(ctx: click.Context, /, image: str | Path, catalog: str | Path, output: Path, **options: Any) -> None:
    """Measure fluxes at the positions of CATALOG on IMAGE.

    IMAGE is an ExposureF file of the pipelines, a file of lsst.images, or a plain FITS image of any survey
    with a WCS in its header, whose variance, mask and PSF are given by options. CATALOG and the output are
    FITS, ECSV, CSV, Parquet or VOTable files. IMAGE and CATALOG may be URIs, such as https:// and s3://.
    Every row of CATALOG becomes a row of the output; what could not be measured is NaN, with flags.
    """
    from ..driver import ForcedMeasurementDriverTask
    from ..io.catalogs import check_catalog_output, read_catalog, write_catalog
    from .plots import flux_name, plot_overview

    # Whatever can be wrong is found out before the long part begins.
    check_catalog_output(output, overwrite=options["overwrite"])
    config = _configure(options, progress=not ctx.obj["quiet"])
    driver = ForcedMeasurementDriverTask(config=config)
    if options["plot"] is not None:
        from ..display.figures import check_figure_output

        check_figure_output(options["plot"], overwrite=options["overwrite"])
        flux_name([field.name for field in driver.schema])
    hdu = options["hdu"]
    positions = read_catalog(catalog, hdu=int(hdu) if hdu is not None and hdu.isdecimal() else hdu)
    columns = {f"{role}_column_name": name for role, name in find_columns(positions, options).items()}
    exposure = _read(image, driver, options)
    if options["bbox"] is not None:
        positions = _inside(positions, columns, exposure, options["bbox"])
    result = driver.runFromAstropy(
        positions, exposure, psf_footprint_scaling=options["psf_footprint_scaling"], **columns
    )
    write_catalog(result, output, overwrite=options["overwrite"])
    say(f"{output}: {len(result)} sources measured, {_count_flagged(result)} of them flagged")
    if options["plot"] is not None:
        plot_overview(result, options["plot"], title=str(exposure.identity), overwrite=options["overwrite"])
        say(f"{options['plot']}: overview")


def _configure(options: dict[str, Any], *, progress: bool) -> ForcedMeasurementDriverConfig:
    """Put together the configuration: defaults, file, assignments, options, each over the one before.

    Raises
    ------
    ConfigurationError
        If something does not fit.
    """
    from lsst.pex.config import FieldValidationError

    from ..driver import ForcedMeasurementDriverConfig
    from ..errors import ConfigurationError
    from ..one_call import select_plugins
    from .overrides import apply_assignments, apply_file

    config = ForcedMeasurementDriverConfig()
    config.fluxUnit, config.numThreads, config.doProgress = "best", 0, progress
    if options["config_file"] is not None:
        apply_file(config, options["config_file"])
    apply_assignments(config, options["assignments"])
    if options["plugins"]:
        select_plugins(config, [name.strip() for names in options["plugins"] for name in names.split(",")])
    try:
        if options["radii"] is not None:
            config.measurement.plugins["base_CircularApertureFlux"].radii = list(options["radii"])
        for name, option in (("fluxUnit", "flux_unit"), ("numThreads", "threads"), ("offImage", "off_image")):
            if options[option] is not None:
                setattr(config, name, options[option])
        config.doMagnitudes = config.doMagnitudes or options["magnitudes"]
        config.validate()
    except FieldValidationError as error:
        raise ConfigurationError(str(error).splitlines()[0]) from error
    return config


def _read(image: str | Path, driver: ForcedMeasurementDriverTask, options: dict[str, Any]) -> Exposure:
    """Read the image, or as much of it around the box as the measurement can need."""
    from ..conventions import Box
    from ..exposure import Exposure

    margin = _reach(driver, options["psf_footprint_scaling"])
    if options["bbox"] is None or margin is None or is_plain_image(image, options):
        return read_image(image, options)
    x0, y0, width, height = options["bbox"]
    grown = Box(x0 - margin, y0 - margin, width + 2 * margin, height + 2 * margin)
    whole = Exposure.read_component(image, "bbox")
    cut = grown.intersection(whole)
    if cut == whole or 0 in cut.shape:
        return read_image(image, options)
    exposure = with_psf(Exposure.read(image, bbox=cut), image, options, whole)
    if exposure.psf is not None:
        stamps = exposure.psf.images(np.array([x0 + width / 2]), np.array([y0 + height / 2]))
        if max(stamps.widths[0], stamps.heights[0]) > margin:
            return read_image(image, options)
    return exposure


def _reach(driver: ForcedMeasurementDriverTask, footprint_scaling: float) -> int | None:
    """Return how many pixels from a position the measurement may look; None where that cannot be known."""
    plugins, measurement = driver.measurement.plugins, driver.config.measurement
    others = {plugin.name for plugin in plugins} - _OF_KNOWN_REACH
    if driver.config.doScaleVariance or measurement.doReplaceWithNoise or measurement.undeblended.names or others:
        return None  # statistics of the whole image, or plugins that look as far as a source is large
    # The coefficients of a sinc aperture cover up to four times its radius.
    apertures: list[float] = [
        4.0 * radius if radius <= plugin.config.maxSincRadius else radius + 10.0
        for plugin in plugins
        for radius in getattr(plugin.config, "radii", ())
    ]
    return math.ceil(max([_MARGIN, footprint_scaling * _MAX_PSF_SIGMA, *apertures]))


def _inside(table: Table, columns: Columns, exposure: Exposure, bbox: tuple[int, int, int, int]) -> Table:
    from ..catalog.tables import read_positions
    from ..conventions import Box
    from ..errors import ExposureError

    if exposure.wcs is None:
        raise ExposureError("This image has no WCS, so that no sky position can be found on it.")
    _, ra, dec = read_positions(table, *columns.values())
    inside = Box(*bbox).contains(*exposure.wcs.sky_to_pixel(ra, dec))
    say(f"{inside.sum()} of {len(table)} positions are in the box")
    return table[inside]


def _count_flagged(table: Table) -> int:
    """Count the rows whose PSF flux, or else first flux, is flagged."""
    flags = [name for name in ("base_PsfFlux_flag", *table.colnames) if name.endswith("_flag")]
    flag = next((name for name in flags if name in table.colnames), None)
    return 0 if flag is None else int(table[flag].sum())
