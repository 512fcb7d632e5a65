"""Options for images of other surveys: where their variance, mask and PSF are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..conventions import Box
    from ..exposure import Exposure

_NAMES = ("variance", "weight", "error", "mask", "mask_planes", "psf", "zero_point")


class _Planes(click.ParamType[dict[str, int]]):
    """Comma-separated names and bits."""

    name = "planes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int]:
        if isinstance(value, dict):
            return value
        pairs = [part.partition("=") for part in str(value).split(",")]
        if not all(name.strip() and bit.strip().isdecimal() for name, _, bit in pairs):
            self.fail(f"{value!r} is no list of names and bits such as BAD=0,SAT=3", param, ctx)
        return {name.strip(): int(bit) for name, _, bit in pairs}


def plain_image_options[F: Callable[..., Any]](function: F) -> F:
    """Add the options to a command; they stand in the order of this list."""
    place = "FILE[[EXT]]"
    options = [
        click.option(
            "--variance", metavar=place, help="Variance of a plain FITS image; [EXT] alone: in its file."
        ),
        click.option("--weight", metavar=place, help="Its inverse variance instead; 0 where a pixel is bad."),
        click.option("--error", metavar=place, help="Its standard deviation instead."),
        click.option(
            "--mask", metavar=place, help="Its mask; pixels that are not 0 are BAD, if it names no planes."
        ),
        click.option(
            "--mask-planes",
            type=_Planes(),
            metavar="NAME=BIT[,...]",
            help="Bits of the mask, such as BAD=0,SAT=3.",
        ),
        click.option(
            "--psf", metavar=place, help="A PSFEx model (.psf), or a kernel image of odd size; for any image."
        ),
        click.option("--zero-point", type=float, metavar="MAG", help="AB magnitude of one unit of the image."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def read_image(image: str | Path, options: dict[str, Any]) -> Exposure:
    """Read an image of any kind with what the options say of it."""
    from ..exposure import Exposure

    if is_plain_image(image, options):
        return Exposure.from_fits(image, **{name: options[name] for name in _NAMES})
    exposure = Exposure.read(image)
    return with_psf(exposure, image, options, exposure.bbox)


def with_psf(exposure: Exposure, image: str | Path, options: dict[str, Any], whole: Box) -> Exposure:
    """Give an exposure the PSF of the options, if they have one; ``whole`` is the box of the whole image."""
    from ..io.fits_place import place_of
    from ..io.psfex_file import read_psf_file

    if options["psf"] is None:
        return exposure
    psf = read_psf_file(place_of(options["psf"], file=image), x0=whole.x0, y0=whole.y0)
    return replace(exposure, psf=psf)


def is_plain_image(image: str | Path, options: Mapping[str, Any] = MappingProxyType({})) -> bool:
    """Tell whether an image is to be read as one of another survey: its planes, or its HDU, are given."""
    from ..io.fits_place import place_of

    given = any(options.get(name) is not None for name in _NAMES if name != "psf")
    return given or place_of(image).hdu is not None
