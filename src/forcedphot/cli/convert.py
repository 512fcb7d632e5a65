"""forcedphot convert: images and catalogs into other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .catalog_files import FITS_ENDINGS, is_catalog
from .command import Command, Place, say
from .plain_images import is_plain_image, plain_image_options, read_image

_IMAGES = ("visit-image", "cell-coadd", "lsst-images", "fits")
_CATALOGS = ("table", "afw-table")


@click.command(
    "convert",
    cls=Command,
    epilog="\b\nExamples:\n"
    "  forcedphot convert calexp.fits visit_image.fits\n"
    "  forcedphot convert deepCoadd.fits cell_coadd.fits --sample-psf\n"
    "  forcedphot convert visit_image.fits plain.fits --to fits\n"
    "  forcedphot convert ztf_sciimg.fits visit_image.fits --variance ztf_unc.fits --psf ztf_psf.fits\n"
    "  forcedphot convert src.fits src.parquet\n"
    "  forcedphot convert positions.csv positions.ecsv",
)
@click.argument("source", metavar="INPUT", type=Place())
@click.argument("output", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "target",
    type=click.Choice([*_IMAGES, *_CATALOGS]),
    help="What to write; guessed from INPUT if not given.",
)
@click.option(
    "--sample-psf",
    is_flag=True,
    help="Store samples of a PSF that lsst.images cannot hold as it is, and say how much they differ.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@click.option("--hdu", metavar="NAME|NUMBER", help="HDU of a FITS catalog; its first table if not given.")
@plain_image_options
def command(source: str | Path, output: Path, target: str | None, **options: Any) -> None:
    """Convert the image or catalog INPUT to OUTPUT.

    Images: ExposureF files of the pipelines become files of lsst.images (--to lsst-images, the default: a
    visit image, or a cell coadd for coadds; or say which); files of lsst.images become plain FITS files (--to
    fits, the default for them): IMAGE, MASK and VARIANCE with a WCS in the header. Plain FITS images of other
    surveys go with the options that say where their variance, mask and PSF are. Pixels stay what they are.

    Catalogs: afw tables of the pipelines, FITS, ECSV, CSV, Parquet and VOTable files become each other by the
    ending of OUTPUT, with units and descriptions where the format has them (--to table, the default); --to
    afw-table writes FITS as the pipelines do.

    What the new format has no place for is named in a warning.
    """
    from ..io.atomic import check_output

    check_output(output, overwrite=options["overwrite"])
    if target in _CATALOGS or (target is None and _is_catalog(source, output)):
        _convert_catalog(source, output, target or "table", options)
    elif options["hdu"] is not None:
        raise click.UsageError("--hdu is for catalogs; name the HDU of an image as in INPUT[EXT].")
    else:
        _convert_image(source, output, target, options)


def _is_catalog(source: str | Path, output: Path) -> bool:
    """Tell by the names, or else by the content, whether a catalog is to be converted."""
    from ..io.fits_place import place_of

    place = place_of(source)
    if not all(str(name).lower().endswith(FITS_ENDINGS) for name in (place.file, output)):
        return True
    return place.hdu is None and is_catalog(source)


def _convert_catalog(source: str | Path, output: Path, target: str, options: dict[str, Any]) -> None:
    from ..io.afw_table.reader import find_afw_table
    from ..io.afw_table.writer import write_afw_table
    from ..io.catalogs import check_catalog_output, read_catalog, write_catalog
    from ..io.resources import check_table_file, file_name
    from ..io.source_catalogs import read_source_catalog, write_source_catalog

    hdu = options["hdu"]
    hdu = int(hdu) if hdu is not None and hdu.isdecimal() else hdu
    overwrite = options["overwrite"]
    check_table_file(source)
    is_fits = check_catalog_output(output, overwrite=overwrite) == "fits"
    from_fits = file_name(source).lower().endswith(FITS_ENDINGS)
    if target == "afw-table":
        if not is_fits:
            raise click.UsageError("--to afw-table writes FITS files; give OUTPUT the ending .fits.")
        catalog = read_source_catalog(source, hdu=hdu)
        write_afw_table(catalog, output, overwrite=overwrite)
        n_rows, n_columns = len(catalog), len(catalog.schema)
    elif from_fits and not is_fits and find_afw_table(source, hdu) is not None:
        catalog = read_source_catalog(source, hdu=hdu)
        write_source_catalog(catalog, output, overwrite=overwrite)
        n_rows, n_columns = len(catalog), len(catalog.schema)
    else:
        table = read_catalog(source, hdu=hdu)
        write_catalog(table, output, overwrite=overwrite)
        n_rows, n_columns = len(table), len(table.colnames)
    say(f"{output}: {n_rows} rows, {n_columns} columns")


def _convert_image(source: str | Path, output: Path, target: str | None, options: dict[str, Any]) -> None:
    from ..errors import ExposureError
    from ..io.lsst_images_writer import write_lsst_images
    from ..io.plain_fits_writer import write_plain_fits
    from ..io.read import ImageFormat, sniff_format

    exposure = read_image(source, options)
    has_new_format = not is_plain_image(source, options) and sniff_format(source) is ImageFormat.LSST_IMAGES
    if target is None:
        target = "fits" if has_new_format else "lsst-images"
    elif has_new_format and target != "fits":
        raise ExposureError(f"{source} is a file of lsst.images already; copy it, or ask for --to fits.")
    overwrite = options["overwrite"]
    if target == "fits":
        write_plain_fits(exposure, output, overwrite=overwrite)
    else:
        kind: Any = None if target == "lsst-images" else target
        write_lsst_images(exposure, output, kind=kind, sample_psf=options["sample_psf"], overwrite=overwrite)
    say(f"{output}: {exposure.bbox.width} x {exposure.bbox.height} pixels, {exposure.identity}")
