"""Picture: what is drawn of an image of any kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..conventions import Box
from ..errors import ExposureError
from ..exposure import AstropyWcs, Exposure, Mask, Wcs


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn of an image.

    Parameters
    ----------
    pixels
        Numbers, shape (height, width); None for a mask alone.
    box
        Its place in its own pixel frame.
    mask
        Of the same shape.
    unit
        Of the pixels; empty if unknown.
    title
        What the image says of itself.
    """

    pixels: npt.NDArray[Any] | None
    box: Box
    mask: Mask | None = None
    wcs: Wcs | None = None
    unit: str = ""
    title: str = ""


def as_picture(
    image: Any, *, mask: Any = None, wcs: Any = None, x0: int | None = None, y0: int | None = None
) -> Picture:
    """Find out what is to be drawn.

    Parameters
    ----------
    image
        An `Exposure`, `Mask`, array or Quantity of two dimensions, or an image or mask of lsst.images.
    mask, wcs, x0, y0
        Instead of its own: a mask, ours or that of lsst.images; a WCS, ours or astropy's (whose pixel (0, 0) is
        the image's first); and the origin.

    Raises
    ------
    ExposureError
        If it is no image that can be drawn, or the mask has another shape.
    """
    picture = _of_any_kind(image)
    box = picture.box
    box = Box(box.x0 if x0 is None else x0, box.y0 if y0 is None else y0, box.width, box.height)
    picture = replace(picture, box=box)
    if mask is not None:
        picture = replace(picture, mask=_of_any_kind(mask).mask)
        if picture.mask is None:
            raise ExposureError(f"A mask names its planes; got {type(mask).__name__}.")
        if picture.mask.array.shape != box.shape:
            raise ExposureError(f"The mask has shape {picture.mask.array.shape}, the image {box.shape}.")
    if wcs is not None:
        picture = replace(picture, wcs=wcs if isinstance(wcs, Wcs) else AstropyWcs(wcs, x0=box.x0, y0=box.y0))
    return picture


def _of_any_kind(image: Any) -> Picture:
    if isinstance(image, Exposure):
        unit = "" if image.unit is None else str(image.unit)
        title = str(image.identity) if image.identity != type(image.identity)() else ""
        return Picture(image.image, image.bbox, image.mask, image.wcs, unit, title)
    if isinstance(image, Mask):
        height, width = image.array.shape
        return Picture(None, Box(0, 0, width, height), image)
    if any(kind.__module__.startswith("lsst.images") for kind in type(image).__mro__):
        return _of_lsst_images(image)
    return _of_array(image)


def _of_array(image: Any) -> Picture:
    pixels = np.asarray(getattr(image, "value", image))  # a Quantity's numbers, in its own unit
    if pixels.ndim != 2 or 0 in pixels.shape or pixels.dtype.kind not in "biuf":
        raise ExposureError(
            f"An image to show has two dimensions and some pixels that are numbers; got {type(image).__name__} "
            f"of shape {pixels.shape} and type {pixels.dtype}."
        )
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8)
    height, width = pixels.shape
    return Picture(pixels, Box(0, 0, width, height), unit=str(getattr(image, "unit", "")))


def _of_lsst_images(image: Any) -> Picture:
    """Take what is drawn, and nothing else: a PSF can be costly."""
    from lsst.images import Image, MaskedImage
    from lsst.images import Mask as ImagesMask

    from ..io.lsst_images import SkyProjectionWcs, mask_from_lsst_images
    from ..io.lsst_images_info import box_from_lsst_images

    if not isinstance(image, Image | MaskedImage | ImagesMask):
        raise ExposureError(f"A {type(image).__name__} of lsst.images cannot be shown; take its image or mask.")
    projection = image.sky_projection
    place = box_from_lsst_images(image.bbox), None if projection is None else SkyProjectionWcs(projection)
    if isinstance(image, ImagesMask):
        return Picture(None, place[0], mask_from_lsst_images(image), place[1])
    unit = "" if image.unit is None else str(image.unit)
    if isinstance(image, Image):
        return Picture(image.array, place[0], None, place[1], unit)
    return Picture(image.image.array, place[0], mask_from_lsst_images(image.mask), place[1], unit)
