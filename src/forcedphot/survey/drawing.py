"""Scenes: the light that is expected in each pixel of a detector, from point sources and galaxies."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..conventions import BoolArray, FloatArray, IntArray, nearest_pixel
from ..exposure.transform import linearize
from ..exposure.wcs import AstropyWcs
from ..psf.base import Psf, Stamps
from .plan import DetectorPlan, VisitPlan
from .visit_psf import STAMP_SIZE_PIX, VisitPsf

if TYPE_CHECKING:
    from astropy.table import Table

    from .sky import PointSources

_STARS_AT_ONCE = 512
_STAMP_PIXELS_AT_ONCE = 1 << 18
_GALAXY_SIZES_PIX = (
    63,
    125,
    243,
    405,
    675,
)  # odd, so that no frequency is its own negative; products of 3, 5 and 7
_GALAXY_REACH = 4.0
"""Half-light radii that a galaxy's stamp has room for, beside the PSF; light beyond it is folded back into it."""

# Of a Sersic profile's Fourier transform: radians per half-light radius, and the steps between.
_FREQUENCIES = (1e-3, 300.0)
_N_FREQUENCIES = 3000


def draw_scene(
    visit: VisitPlan, detector: DetectorPlan, psf: VisitPsf, points: PointSources, galaxies: Table
) -> FloatArray:
    """Draw all that a detector sees in a visit, without noise.

    Parameters
    ----------
    visit, detector
        What is drawn.
    psf
        Of that detector in that visit.
    points
        Point sources, anywhere on the sky.
    galaxies
        Of `sky.Sky`, anywhere on the sky.

    Returns
    -------
    nJy, shape of the detector's box.
    """
    image = draw_points(detector, psf, points)
    _add_galaxies(image, detector, psf.psf, galaxies, visit.band)
    return image


def draw_points(detector: DetectorPlan, psf: VisitPsf, points: PointSources) -> FloatArray:
    """Draw point sources with the PSF model itself, as `draw_scene` does."""
    box = detector.box
    image = np.zeros(box.shape)
    x, y = AstropyWcs(detector.wcs).sky_to_pixel(np.radians(points.ra_deg), np.radians(points.dec_deg))
    seen = np.flatnonzero(_near(detector, x, y, STAMP_SIZE_PIX // 2 + 1) & (points.flux != 0.0))
    for start in range(0, len(seen), _STARS_AT_ONCE):
        rows = seen[start : start + _STARS_AT_ONCE]
        psf.psf.images(x[rows], y[rows]).add_to(image, box.x0, box.y0, points.flux[rows])
    return image


class _Component(NamedTuple):
    """Bulges or discs of n galaxies."""

    flux: FloatArray
    """nJy."""
    radius_arcsec: FloatArray
    """Half-light radius along the major axis."""
    sersic_index: FloatArray


class _Galaxies(NamedTuple):
    """Galaxies on or near a detector."""

    x: FloatArray
    """Pixels."""
    y: FloatArray
    ellipses: FloatArray
    """Their shape on the detector, shape (n, 2, 2), pixel^2 per arcsec^2: of an ellipse whose major semi-axis is 1
    arcsec, Q in r^T Q^-1 r = 1."""
    components: tuple[_Component, _Component]


def _add_galaxies(image: FloatArray, detector: DetectorPlan, psf: Psf, galaxies: Table, band: str) -> None:
    """Add galaxies to an image in place."""
    found = _find_galaxies(detector, galaxies, band)
    pixel_per_arcsec = np.sqrt(np.linalg.eigvalsh(found.ellipses)[:, -1])
    reach = pixel_per_arcsec * np.maximum(*(component.radius_arcsec for component in found.components))
    needed = 2.0 * _GALAXY_REACH * reach + STAMP_SIZE_PIX
    sizes = np.array(_GALAXY_SIZES_PIX)
    size = sizes[np.minimum(np.searchsorted(sizes, needed), len(sizes) - 1)]
    for side in np.unique(size).tolist():
        rows = np.flatnonzero((size == side) & _near(detector, found.x, found.y, side // 2 + 1))
        at_once = max(_STAMP_PIXELS_AT_ONCE // side**2, 1)
        for start in range(0, len(rows), at_once):
            chunk = rows[start : start + at_once]
            stamps = _galaxy_stamps(found, chunk, psf, side)
            stamps.add_to(image, detector.box.x0, detector.box.y0, np.ones(len(chunk)))


def _find_galaxies(detector: DetectorPlan, galaxies: Table, band: str) -> _Galaxies:
    """Place the galaxies that may be seen on the detector's pixels."""
    wcs = AstropyWcs(detector.wcs)
    x, y = wcs.sky_to_pixel(np.radians(galaxies["ra"].data), np.radians(galaxies["dec"].data))
    near = _near(detector, x, y, _GALAXY_SIZES_PIX[-1] // 2 + 1)
    x, y, table = x[near], y[near], galaxies[near]
    # Arcseconds to the east and north per pixel.
    jacobians = np.degrees(linearize(wcs.pixel_to_sky, x, y)) * 3600
    jacobians[:, 0] *= np.cos(np.radians(table["dec"].data))[:, np.newaxis]
    angle = np.radians(table["position_angle_deg"].data)
    major = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    minor = table["axis_ratio"].data[:, np.newaxis] * np.stack([np.cos(angle), -np.sin(angle)], axis=1)
    axes = np.linalg.solve(jacobians, np.stack([major, minor], axis=2))
    flux, fraction = table[f"{band}_flux"].data, table["bulge_fraction"].data
    bulge, disk = (
        _Component(
            flux * share, table[f"{part}_half_light_radius_arcsec"].data, table[f"{part}_sersic_index"].data
        )
        for part, share in (("bulge", fraction), ("disk", 1.0 - fraction))
    )
    return _Galaxies(x, y, axes @ axes.transpose(0, 2, 1), (bulge, disk))


def _galaxy_stamps(galaxies: _Galaxies, rows: IntArray, psf: Psf, side: int) -> Stamps:
    """Draw some galaxies on stamps of one size: products of Fourier transforms, of profile and PSF.

    The PSF's kernel images have the pixel in them, and next to nothing beyond the Nyquist frequency. Light that
    leaves the stamp comes in at the other side.
    """
    from scipy.fft import irfft2, rfft2

    x, y, ellipses = galaxies.x[rows], galaxies.y[rows], galaxies.ellipses[rows]
    column, row = nearest_pixel(x), nearest_pixel(y)
    frequency_x, frequency_y = (
        2.0 * np.pi * np.fft.rfftfreq(side),
        2.0 * np.pi * np.fft.fftfreq(side)[:, np.newaxis],
    )
    xx, xy, yy = (ellipses[:, i, j, np.newaxis, np.newaxis] for i, j in ((0, 0), (0, 1), (1, 1)))
    frequency = np.sqrt(xx * frequency_x**2 + 2.0 * xy * frequency_x * frequency_y + yy * frequency_y**2)
    transform = np.zeros_like(frequency)
    for component in galaxies.components:
        flux, radius = (values[rows, np.newaxis, np.newaxis] for values in component[:2])
        transform += flux * _sersic_transform(component.sersic_index[rows], frequency * radius)
    # From the middle of the PSF's kernel image to the galaxy's place on its stamp.
    shift = side // 2 - STAMP_SIZE_PIX // 2
    kernels = rfft2(psf.kernel_images(x, y).images, s=(side, side))
    kernels *= np.exp(-1j * frequency_x * (shift + x - column)[:, np.newaxis, np.newaxis])
    kernels *= np.exp(-1j * frequency_y * (shift + y - row)[:, np.newaxis, np.newaxis])
    images = irfft2(kernels * transform, s=(side, side))
    n = len(rows)
    return Stamps(
        images,
        column.astype(np.int64) - side // 2,
        row.astype(np.int64) - side // 2,
        np.ones(n, dtype=bool),
        np.full(n, side),
        np.full(n, side),
    )


def _sersic_transform(sersic_index: FloatArray, frequency: FloatArray) -> FloatArray:
    """Return the Fourier transforms of round Sersic profiles of flux 1.

    Parameters
    ----------
    sersic_index
        Shape (n,).
    frequency
        Radians per half-light radius, shape (n, ...).
    """
    result = np.empty_like(frequency)
    for index in np.unique(sersic_index).tolist():
        rows = sersic_index == index
        result[rows] = np.interp(frequency[rows], *_sersic_table(index))
    return result


@cache
def _sersic_table(sersic_index: float) -> tuple[FloatArray, FloatArray]:
    """Tabulate the transform of a Sersic profile of flux 1 and half-light radius 1: frequencies, values."""
    import galsim

    frequency = np.geomspace(*_FREQUENCIES, _N_FREQUENCIES)
    profile = galsim.Sersic(sersic_index, half_light_radius=1.0)
    values = [profile.kValue(k, 0.0).real for k in frequency.tolist()]
    return np.concatenate([[0.0], frequency]), np.concatenate([[1.0], values])


def _near(detector: DetectorPlan, x: FloatArray, y: FloatArray, margin: int) -> BoolArray:
    """Tell which positions are on a detector, or not farther from it than a margin in pixels."""
    box = detector.box
    near: BoolArray = (
        (x > box.x0 - margin) & (x < box.x_stop + margin) & (y > box.y0 - margin) & (y < box.y_stop + margin)
    )
    return near
