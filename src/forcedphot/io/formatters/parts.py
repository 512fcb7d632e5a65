"""The Butler's names of an exposure's parts, in files and in memory, and its parameters: a box and its origin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...conventions import Box
from ...errors import ExposureError
from ...exposure import Exposure, FilterLabel, Mask
from ..lsst_images_info import box_from_lsst_images
from ..read import read_component, read_exposure

_PLANES = ("image", "mask", "variance")
_PARTS = {
    "wcs": "wcs",
    "psf": "psf",
    "photoCalib": "photo_calib",
    "apCorrMap": "aperture_corrections",
    "visitInfo": "visit_info",
    "detector": "detector",
    "coaddInputs": "coadd_inputs",
    "validPolygon": "valid_polygon",
    "summaryStats": "summary_stats",
    "metadata": "metadata",
} | {plane: plane for plane in _PLANES}
_OF_THE_BOX: dict[str, Callable[[Box], Any]] = {
    "bbox": lambda box: box,
    "dimensions": lambda box: (box.width, box.height),
    "xy0": lambda box: (box.x0, box.y0),
}
_NAMES = (*_PARTS, "filter", *_OF_THE_BOX)


def read_dataset(path: str | Path, component: str | None, parameters: Mapping[str, Any] | None) -> Any:
    """Read an exposure, or a part of it.

    Parameters
    ----------
    path
        A local file, or the URI of a remote one, of any format that `Exposure.read` reads.
    component
        The Butler's name of a part; None for the exposure.
    parameters
        The Butler's parameters; a box cuts the exposure and its planes, no other part.

    Returns
    -------
    An `Exposure`, or what `Exposure.read_component` returns; (width, height) for ``dimensions`` and (x0, y0)
    for ``xy0``.

    Raises
    ------
    ExposureError
        If there is no part of that name, a parameter has a value that it cannot have, or a box is not inside.
    FileNotFoundError, FileFormatError, RemoteFileError, UnsafeContentError
        As for `Exposure.read`.
    """
    if component is not None:
        _check_name(component)
    if component in _OF_THE_BOX:
        return _OF_THE_BOX[component](read_component(path, "bbox"))
    if component is not None and component not in _PLANES:
        return read_component(path, _PARTS.get(component, component))
    box = _box(parameters, lambda: read_component(path, "bbox"))
    if component is None:
        return read_exposure(path, box)
    return read_component(path, component, box)


def part_of(exposure: Exposure, component: str) -> Any:
    """Take a part of an exposure in memory, by the Butler's name.

    Raises
    ------
    ExposureError
        If there is no part of that name.
    """
    _check_name(component)
    if component in _OF_THE_BOX:
        return _OF_THE_BOX[component](exposure.bbox)
    if component == "filter":
        label = FilterLabel(exposure.identity.band, exposure.identity.physical_filter)
        return None if label == FilterLabel() else label
    part = getattr(exposure, _PARTS[component])
    return dict(part) if component == "metadata" else part


def cut(exposure: Exposure, parameters: Mapping[str, Any]) -> Exposure:
    """Cut an exposure in memory to the box in the Butler's parameters; pixels are not copied.

    Raises
    ------
    ExposureError
        If the box is not inside the image, or none.
    """
    image = exposure.bbox
    box = _box(parameters, lambda: image)
    if box is None:
        return exposure
    if box.width < 1 or box.height < 1 or box.intersection(image) != box:
        raise ExposureError(f"The box {box} is not inside the image, which covers {image}.")
    rows = slice(box.y0 - image.y0, box.y_stop - image.y0)
    columns = slice(box.x0 - image.x0, box.x_stop - image.x0)
    mask, variance = exposure.mask, exposure.variance
    return replace(
        exposure,
        image=exposure.image[rows, columns],
        variance=None if variance is None else variance[rows, columns],
        mask=None if mask is None else Mask(mask.array[rows, columns], mask.planes),
        x0=box.x0,
        y0=box.y0,
    )


def _check_name(component: str) -> None:
    if component not in _NAMES:
        raise ExposureError(f"The part {component!r} of an exposure is not read; there are {', '.join(_NAMES)}.")


def _box(parameters: Mapping[str, Any] | None, image: Callable[[], Box]) -> Box | None:
    """Return the box that the parameters ask for, in the image's pixel frame."""
    value = (parameters or {}).get("bbox")
    if value is None:
        return None
    box = _as_box(value)
    origin = (parameters or {}).get("origin", "PARENT")
    name = str(getattr(origin, "name", origin))
    if name not in ("PARENT", "LOCAL"):
        raise ExposureError(f"The origin of a box is 'PARENT' or 'LOCAL', not {origin!r}.")
    if name == "PARENT":
        return box
    return Box(box.x0 + image().x0, box.y0 + image().y0, box.width, box.height)


def _as_box(value: Any) -> Box:
    if isinstance(value, Box):
        return value
    from lsst.images import Box as ImagesBox

    if isinstance(value, ImagesBox):
        return box_from_lsst_images(value)
    raise ExposureError(
        f"The parameter bbox is a {type(value).__name__}; give a forcedphot.conventions.Box or an lsst.images.Box."
    )
