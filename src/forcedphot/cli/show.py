"""forcedphot show: a picture of an image, from a file or from a Butler repository."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .catalog_files import find_columns
from .command import Command, Place, say
from .plain_images import is_plain_image

if TYPE_CHECKING:
    from ..conventions import Box
    from ..display import Display
    from ..exposure import Exposure

_WINDOW = 1
_LISTED = 5


class _Limits(click.ParamType[tuple[str | float, ...]]):
    """A name, a percentage, or two limits."""

    name = "limits"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str | float, ...]:
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if len(parts) == 1:
            return (parts[0],)
        try:
            low, high = (part if part.endswith("%") else float(part) for part in parts)
        except ValueError:
            self.fail(f"{value!r} is no pair of limits such as -10,200 or 1%,99.5%", param, ctx)
        return low, high


@click.command(
    "show",
    cls=Command,
    epilog="\b\nExamples:\n"
    "  forcedphot show calexp.fits -o calexp.png --positions objects.parquet --grid\n"
    "  forcedphot show calexp.fits -o star.png --cutout 53.1 -28.1 101 --no-mask\n"
    "  forcedphot show dp1 --dataset visit_image --collections LSSTComCam/DP1 -o visit.png \\\n"
    "      --where 'visit=2024120200150 and detector=4'",
)
@click.argument("image", type=Place())
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="Picture to write (PNG, PDF, SVG); without it, a window opens.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@click.option("--dataset", metavar="TYPE", help="Dataset type to take from the Butler repository IMAGE.")
@click.option("--where", default="", metavar="EXPRESSION", help="Which dataset, in the Butler's query language.")
@click.option(
    "--collections", metavar="NAME[,NAME...]", help="Collections to search; the repository's own if none."
)
@click.option(
    "--plane",
    type=click.Choice(["image", "variance", "mask"]),
    default="image",
    show_default=True,
    help="What to show.",
)
@click.option(
    "--scale",
    "algorithm",
    type=click.Choice(["asinh", "linear", "log", "sqrt"]),
    default="asinh",
    show_default=True,
    help="How pixel values become shades of grey.",
)
@click.option(
    "--limits",
    type=_Limits(),
    default="zscale",
    show_default=True,
    metavar="zscale|minmax|P%|LOW,HIGH",
    help="Which values become black and white; LOW and HIGH are numbers, or percentiles such as 1%,99.5%.",
)
@click.option("--mask/--no-mask", "with_mask", default=True, show_default=True, help="Overlay the mask planes.")
@click.option("--grid", is_flag=True, help="Draw a grid of right ascension and declination.")
@click.option("--positions", type=Place(), metavar="CATALOG", help="Table of positions to mark.")
@click.option("--ra", "ra_column", metavar="COLUMN", help="Its column of right ascensions; guessed if not given.")
@click.option("--dec", "dec_column", metavar="COLUMN", help="Its column of declinations.")
@click.option(
    "--cutout",
    type=(float, float, click.IntRange(min=1)),
    metavar="RA DEC SIZE",
    help="Show SIZE x SIZE pixels around a position (deg, ICRS); no more is read of a file.",
)
@click.option("--title", help="Title; what the image says of itself if not given.")
def command(image: str | Path, output: Path | None, **options: Any) -> None:
    """Draw IMAGE with its mask, and positions of a catalog on it.

    IMAGE is a file of any kind that forcedphot reads (FILE[EXT] is one HDU of a FITS file), or a URI. With
    --dataset, it is a Butler repository, or its label, from which one image is taken.

    The axes count the image's own pixels, so that an image may begin at (12000, 8000). Pixels that are not finite
    are dark violet. Colours of mask planes are explained below the picture.
    """
    from ..display import Display
    from ..display.figures import check_figure_output
    from ..io.catalogs import read_catalog

    if output is not None:
        check_figure_output(output, overwrite=options["overwrite"])
    catalog = None if options["positions"] is None else read_catalog(options["positions"])
    columns = {} if catalog is None else find_columns(catalog, options, ("ra", "dec"))
    shown = _choose_plane(_read(image, options), options["plane"])
    display = Display(frame=_WINDOW if output is None else None)
    try:
        _draw(display, shown, options)
        if catalog is not None:
            count = display.mark_positions(catalog, ra_column=columns["ra"], dec_column=columns["dec"])
            say(f"{count} of {len(catalog)} positions are on the image")
        if output is None:
            display.show()
        else:
            display.save(output, overwrite=options["overwrite"])
            say(f"{output}: {_what(shown, options)}")
    finally:
        display.close()


def _draw(display: Display, shown: Exposure, options: dict[str, Any]) -> None:
    display.scale(options["algorithm"], *options["limits"])
    title, grid = options["title"], options["grid"]
    if options["plane"] == "mask":
        title = str(shown.identity) if title is None else title
        display.mtv(shown.mask, title, wcs=shown.wcs, x0=shown.x0, y0=shown.y0, grid=grid)
    else:
        display.mtv(shown if options["with_mask"] else replace(shown, mask=None), title, grid=grid)


def _what(shown: Exposure, options: dict[str, Any]) -> str:
    return f"{options['plane']}, {shown.bbox.width} x {shown.bbox.height} pixels, {shown.bbox}"


def _choose_plane(exposure: Exposure, plane: str) -> Exposure:
    """Put the plane that is shown into the place of the image.

    Raises
    ------
    ExposureError
        If the image has no such plane.
    """
    from ..errors import ExposureError

    if plane == "image":
        return exposure
    if getattr(exposure, plane) is None:
        raise ExposureError(f"This image has no {plane} plane; show another with --plane.")
    if plane == "mask" or exposure.variance is None:
        return exposure
    unit = None if exposure.unit is None else exposure.unit**2
    return replace(exposure, image=exposure.variance, unit=unit)


def _read(image: str | Path, options: dict[str, Any]) -> Exposure:
    """Read the image, or no more than the cutout."""
    from ..display import cutout, cutout_box
    from ..errors import ConfigurationError
    from ..exposure import Exposure

    place = options["cutout"]
    if options["dataset"] is not None:
        exposure = _get(str(image), options)
        return exposure if place is None else cutout(exposure, *place)
    if options["where"] or options["collections"]:
        raise ConfigurationError("--where and --collections choose a dataset; say of which type with --dataset.")
    if isinstance(image, Path) and image.is_dir():
        raise ConfigurationError(
            f"{image} is a folder; name a dataset with --dataset and --where if it is a Butler repository."
        )
    if is_plain_image(image):
        exposure = Exposure.from_fits(image)
        return exposure if place is None else cutout(exposure, *place)
    if place is None:
        return Exposure.read(image)
    whole: Box = Exposure.read_component(image, "bbox")
    return Exposure.read(image, bbox=cutout_box(Exposure.read_component(image, "wcs"), whole, *place))


def _get(repository: str, options: dict[str, Any]) -> Exposure:
    """Get the one dataset that the options describe.

    Raises
    ------
    ConfigurationError
        If they describe none, or more than one, or something that the Butler does not understand.
    """
    from ..errors import ConfigurationError
    from .repositories import open_to_read

    name = options["dataset"]
    with open_to_read(repository, options["collections"], wanted=name) as butler:
        chosen = butler.collections.defaults
        found = butler.query_datasets(
            name,
            collections=chosen or "*",
            where=options["where"],
            find_first=bool(chosen),
            limit=_LISTED + 1,
            explain=False,
        )
        if len(found) == 1:
            return _as_exposure(butler.get(found[0]))
    if not found:
        raise ConfigurationError(
            f"{repository} has no {name} of which this is true: {options['where'] or 'anything'}."
        )
    listed = "; ".join(str(reference.dataId) for reference in found[:_LISTED])
    more = "; and more" if len(found) > _LISTED else ""
    raise ConfigurationError(f"Several datasets {name} fit; choose one with --where: {listed}{more}.")


def _as_exposure(dataset: Any) -> Exposure:
    from ..errors import ConfigurationError
    from ..exposure import Exposure

    if isinstance(dataset, Exposure):
        return dataset
    try:
        return Exposure.from_lsst_images(dataset)
    except TypeError as error:
        raise ConfigurationError(f"This dataset is no image: {error}") from error
