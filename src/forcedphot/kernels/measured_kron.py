"""Kron fluxes whose radius is measured on the same image: single-frame measurement, as source tables have it."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray, Spans
from .ellipses import determinant_radius, scaled_to_radius
from .kron import SMALLEST_RADIUS, KronRadii, kron_fluxes, measure_kron_radii, psf_kron_radius


@dataclass(frozen=True, slots=True, kw_only=True)
class KronSettings:
    """How Kron radii and fluxes are measured.

    Parameters
    ----------
    n_sigma, n_iterations, smoothing_sigma
        As `kron.measure_kron_radii` takes them.
    n_radius_for_flux, max_sinc_radius
        As `kron.kron_fluxes` takes them.
    fixed
        Take the shapes as they are for the Kron apertures, and measure no radius.
    enforce_minimum_radius
        Enlarge radii that are smaller than the minimum.
    minimum_radius
        Smallest radius, pixels, and that of sources whose radius cannot be measured; if 0 the PSF's.
    """

    n_sigma: float = 6.0
    n_iterations: int = 1
    smoothing_sigma: float = -1.0
    n_radius_for_flux: float = 2.5
    max_sinc_radius: float = 10.0
    fixed: bool = False
    enforce_minimum_radius: bool = True
    minimum_radius: float = 0.0


class MeasuredKron(NamedTuple):
    """Results for n sources, each of shape (n,): columns of ext_photometryKron_KronFlux."""

    flux: FloatArray
    flux_err: FloatArray
    radius: FloatArray
    radius_for_radius: FloatArray
    psf_radius: FloatArray
    flag: BoolArray
    flag_edge: BoolArray
    flag_bad_shape_no_psf: BoolArray
    flag_no_minimum_radius: BoolArray
    flag_no_fallback_radius: BoolArray
    flag_bad_radius: BoolArray
    flag_used_minimum_radius: BoolArray
    flag_used_psf_radius: BoolArray
    flag_small_radius: BoolArray
    flag_bad_shape: BoolArray


def measured_kron_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    shapes: FloatArray,
    is_bad_shape: BoolArray,
    psf_moments: FloatArray | None = None,
    footprint_radius: FloatArray | None = None,
    *,
    settings: KronSettings | None = None,
    x0: int = 0,
    y0: int = 0,
) -> MeasuredKron:
    """Measure Kron radii, and the fluxes within multiples of them (KronFluxAlgorithm::measure).

    Unlike the original, which leaves such an aperture at the size of the ellipse in which its radius was
    measured, a radius that is not larger than that of the second moments is taken and flagged
    (``flag_bad_radius``); apertures that leave the image are flagged in all cases; and sources without a shape
    get that of the PSF at their own position, also where their radius cannot be measured.

    Parameters
    ----------
    image, variance
        Shape (height, width).
    x, y
        Centres in the frame in which the array's first pixel is (x0, y0), shape (n,).
    shapes
        Second moments of the sources, shape (n, 3): xx, yy, xy, pixel^2.
    is_bad_shape
        Shape (n,): those that are not to be used. Those that are no ellipse are not used either.
    psf_moments
        Those of the PSF at the centres, shape (n, 3), NaN where there is none; None for no PSF.
    footprint_radius
        Shape (n,), as `footprint_radii` returns them: radii are measured in ellipses at least as large. None
        if they do not matter.
    settings
        The pipelines' defaults if None.
    """
    settings = settings or KronSettings()
    if psf_moments is None:
        psf_moments = np.full(shapes.shape, np.nan)
    psf_radius = psf_kron_radius(psf_moments, settings.smoothing_sigma)
    has_psf = np.isfinite(psf_radius)
    bad_shape = is_bad_shape | np.isnan(determinant_radius(shapes))
    bad_shape_no_psf = bad_shape & ~has_psf
    shapes = np.where(bad_shape[:, np.newaxis], psf_moments, shapes)

    measured = _measure_radii(image, x - x0, y - y0, shapes, footprint_radius, settings)
    radius = measured.radius.copy()
    has_minimum = settings.minimum_radius > 0.0
    smallest = np.full(len(x), settings.minimum_radius) if has_minimum else psf_radius
    radius[measured.no_light] = smallest[measured.no_light]
    no_fallback = measured.no_light & np.isnan(smallest)
    no_minimum = np.zeros(len(x), dtype=bool)
    small = np.zeros(len(x), dtype=bool)
    if settings.enforce_minimum_radius:
        no_minimum = np.isfinite(radius) & np.isnan(smallest)
        small = radius < smallest
        radius[no_minimum] = np.nan
        radius[small] = smallest[small]
    used_smallest = small | (measured.no_light & ~no_fallback)
    radius[~(radius >= SMALLEST_RADIUS)] = np.nan

    fluxes = kron_fluxes(
        image,
        variance,
        x,
        y,
        scaled_to_radius(shapes, radius),
        n_radius_for_flux=settings.n_radius_for_flux,
        max_sinc_radius=settings.max_sinc_radius,
        x0=x0,
        y0=y0,
    )
    return MeasuredKron(
        flux=fluxes.flux,
        flux_err=fluxes.flux_err,
        radius=radius,
        radius_for_radius=np.where(np.isnan(radius), np.nan, measured.radius_for_radius),
        psf_radius=np.where(measured.off_image, np.nan, psf_radius),
        flag=bad_shape | np.isnan(radius) | fluxes.aperture_truncated,
        flag_edge=measured.off_image | fluxes.aperture_truncated,
        flag_bad_shape_no_psf=bad_shape_no_psf,
        flag_no_minimum_radius=no_minimum,
        flag_no_fallback_radius=no_fallback,
        flag_bad_radius=measured.no_light | measured.is_small,
        flag_used_minimum_radius=used_smallest & has_minimum,
        flag_used_psf_radius=used_smallest & (not has_minimum),
        flag_small_radius=small,
        flag_bad_shape=bad_shape & has_psf,
    )


def footprint_radii(footprints: Spans) -> FloatArray:
    """Return sqrt(2) times the determinant radii of footprints' second moments, pixels, shape (n,).

    That is what the original compares with: of a disc, its radius divided by sqrt(2). NaN where the pixels are
    in one line, or there is none.
    """
    n = len(footprints)
    owner = np.repeat(np.arange(n), np.diff(footprints.first))
    length = (footprints.x1 - footprints.x0 + 1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        n_pixels = np.bincount(owner, length, minlength=n)
        x = 0.5 * (footprints.x0 + footprints.x1)
        x -= (np.bincount(owner, length * x, minlength=n) / n_pixels)[owner]
        y = footprints.y - (np.bincount(owner, length * footprints.y, minlength=n) / n_pixels)[owner]
        along_row = (length**2 - 1.0) / 12.0
        sums = [np.bincount(owner, length * term, minlength=n) for term in (x * x + along_row, y * y, x * y)]
        moments = np.stack(sums, axis=1) / n_pixels[:, np.newaxis]
    return math.sqrt(2.0) * determinant_radius(moments)


def _measure_radii(
    image: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    shapes: FloatArray,
    footprint_radius: FloatArray | None,
    settings: KronSettings,
) -> KronRadii:
    shape_radius = determinant_radius(shapes)
    if settings.fixed:
        none = np.zeros(len(x), dtype=bool)
        return KronRadii(shape_radius, np.full(len(x), np.nan), none, none, none)
    if footprint_radius is not None:
        shapes = scaled_to_radius(shapes, np.fmax(shape_radius, footprint_radius / settings.n_sigma))
    return measure_kron_radii(
        image,
        x,
        y,
        shapes,
        n_sigma=settings.n_sigma,
        n_iterations=settings.n_iterations,
        smoothing_sigma=settings.smoothing_sigma,
    )
