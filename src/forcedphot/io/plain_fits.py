"""Images of any survey: a FITS image with a header WCS, and variance, mask and PSF beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..conventions import AB_ZERO_POINT_NJY, Box
from ..errors import ExposureError, FileFormatError
from ..exposure import AstropyWcs, Exposure, Identity, Mask, PhotoCalib, Wcs
from ..psf import KernelImagePsf, Psf
from .afw_fits import planes
from .fits_file import FitsFile, Hdu, check_inside
from .fits_header import astropy_silent
from .fits_place import FitsPlace, open_hdu, place_of
from .psfex_file import is_image, read_psf_file

_DISTORTION_CARDS = ("CPDIS1", "CPDIS2", "D2IMDIS1", "D2IMDIS2")
_BAD = "BAD"

type FloatImage = npt.NDArray[np.float32]


def read_plain_fits(
    image: str | Path,
    *,
    variance: str | Path | None = None,
    weight: str | Path | None = None,
    error: str | Path | None = None,
    mask: str | Path | None = None,
    mask_planes: Mapping[str, int] | None = None,
    psf: str | Path | Psf | npt.ArrayLike | None = None,
    zero_point: float | None = None,
    bbox: Box | None = None,
    **components: Any,
) -> Exposure:
    """Read an image of any survey; see `Exposure.from_fits`, the front door, for everything.

    Raises
    ------
    ExposureError
        If the planes do not go together.
    FileNotFoundError, FileFormatError
        If a file is absent, damaged, or has no such HDU.
    """
    if sum(given is not None for given in (variance, weight, error)) > 1:
        raise ExposureError("Variance, weight and error say the same thing; give one of them.")
    place = place_of(image)
    with open_hdu(place, is_image) as (hdu, hdus):
        whole = Box(0, 0, hdu.shape[1], hdu.shape[0])
        if bbox is not None:
            check_inside(place, bbox, whole)
        box = bbox or whole
        header = _astropy_header(hdu)
        found: dict[str, Any] = {
            "image": planes.float_pixels(hdu, bbox, whole),
            "x0": box.x0,
            "y0": box.y0,
            "unit": planes.unit(hdu.header),
            "wcs": None if "wcs" in components else _wcs(header, hdus),
            "identity": Identity(instrument=_text(header, "INSTRUME"), physical_filter=_text(header, "FILTER")),
            "metadata": dict(hdu.header.all_items()),
        }

    def plane[T](text: str | Path, read: Callable[[Hdu, Box | None, Box], T]) -> T:
        with open_hdu(place_of(text, file=place.file), is_image) as (plane_hdu, _):
            return read(plane_hdu, bbox, whole)

    bad: npt.NDArray[np.bool_] | None = None
    if variance is not None:
        found["variance"] = plane(variance, planes.float_pixels)
    elif error is not None:
        found["variance"] = plane(error, planes.float_pixels) ** 2
    elif weight is not None:
        found["variance"], bad = inverse_of(plane(weight, planes.float_pixels))
    given = None if mask is None else _named(plane(mask, planes.mask), mask_planes)
    found["mask"] = _with_bad(given, bad)
    if psf is not None:
        found["psf"] = psf_of(psf, place)
    if zero_point is not None:
        found["photo_calib"] = PhotoCalib(10.0 ** (0.4 * (AB_ZERO_POINT_NJY - zero_point)))
    return Exposure(**(found | components))


def psf_of(psf: str | Path | Psf | npt.ArrayLike, image: FitsPlace) -> Psf:
    """Take a PSF, a kernel image, or the place of one of these in a file; [EXT] is in the image's own."""
    if isinstance(psf, Psf):
        return psf
    if isinstance(psf, str | Path):
        return read_psf_file(place_of(psf, file=image.file))
    return KernelImagePsf(np.asarray(psf, dtype=np.float64))


def _astropy_header(hdu: Hdu) -> Any:
    return hdu.astropy.header if hdu.is_compressed else hdu.header.with_comments()


def _wcs(header: Any, hdus: FitsFile) -> Wcs | None:
    """Read a header's WCS, with its distortions, be they polynomials or tables in other HDUs."""
    from astropy.io import fits
    from astropy.wcs import WCS

    with astropy_silent():
        if any(card in header for card in _DISTORTION_CARDS):
            with fits.open(BytesIO(hdus.stored(0, len(hdus) - 1))) as tables:
                wcs = WCS(header, tables, naxis=2)
        else:
            wcs = WCS(header, naxis=2)
    return AstropyWcs(wcs) if wcs.has_celestial else None


def _text(header: Any, card: str) -> str | None:
    value = header.get(card)
    return value.strip() or None if isinstance(value, str) else None


def inverse_of(weight: FloatImage) -> tuple[FloatImage, npt.NDArray[np.bool_]]:
    """Turn weights into variances; pixels without weight have an infinite one, and are bad."""
    bad = ~(weight > 0) | ~np.isfinite(weight)
    with np.errstate(over="ignore"):
        variance = np.where(bad, np.float32(np.inf), 1.0 / np.where(bad, np.float32(1.0), weight))
    return variance.astype(np.float32), bad


def _named(found: Mask, names: Mapping[str, int] | None) -> Mask:
    """Name the planes of a mask; without any name, every pixel that is not 0 is bad."""
    if names is not None:
        return Mask(found.array, dict(names))
    if found.planes:
        return found
    return Mask((found.array != 0).view(np.uint8), {_BAD: 0})


def _with_bad(found: Mask | None, bad: npt.NDArray[np.bool_] | None) -> Mask | None:
    """Mark more pixels as bad, in the plane of that name."""
    if bad is None:
        return found
    if found is None:
        return Mask(bad.view(np.uint8), {_BAD: 0})
    n_bits = 8 * found.array.dtype.itemsize
    bit = found.planes.get(_BAD, next((i for i in range(n_bits - 1) if i not in found.planes.values()), None))
    if bit is None:
        raise FileFormatError("The mask has no bit to spare for pixels without weight.")
    one = found.array.dtype.type(1 << bit)
    rest = found.array if _BAD in found.planes else found.array & ~one
    return Mask(np.where(bad, rest | one, rest), {**found.planes, _BAD: bit})
