"""PSFs for lsst.images, whose visit images store Gaussians and Piff models: as they are, or as pixel grids."""

from __future__ import annotations

import copy
import logging
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..conventions import Box, FloatArray
from ..errors import ExposureError
from ..psf import GaussianPsf, PiffPsf, Psf

_LOG = logging.getLogger(__name__)

_FAITHFUL = 1e-8
"""Kernel images that differ by less, in units of the peak, are the same."""
WORTH_SAYING = 1e-6
"""Stamps that differ by more, in units of the peak, are worth a warning."""
_MAX_ORDER = 4
_N_CHECKS = 50
_PIFF_MARGIN = 10  # pixels around a stamp from which its own pixels are interpolated


class _Recipe(NamedTuple):
    """How a PSF becomes a grid."""

    oversampling: int
    """Grid points per pixel, odd."""
    lanczos: int
    """Order of the interpolation between them."""


_SHIFTED = _Recipe(1, 5)
"""For PSFs whose stamps are kernel images, shifted with a Lanczos-5 kernel."""
_DRAWN = _Recipe(3, 11)
"""For PSFs that are drawn at each position anew."""


class Difference(NamedTuple):
    """How much two PSFs differ at most, in units of the peak."""

    kernel_images: float
    stamps: float
    """Both NaN if there is no position where both are defined."""
    lost: float
    """Fraction of the positions where the first is defined and the second is not."""


def psf_for_visit_image(psf: Psf, box: Box, *, sample: bool) -> Any:
    """Turn a PSF into one that a visit image of lsst.images can store.

    Gaussians and Piff models of pixel coordinates stay what they are. Kernel images that are polynomials of
    the position become the pixel grid of a Piff model, which holds them exactly; its stamps have sum 1,
    those of the pipelines' kernel PSFs lose what is shifted off their edge, and a warning says how much.

    Parameters
    ----------
    psf
        The PSF.
    box
        The image's box.
    sample
        Turn others into a pixel grid too, fitted to samples; a warning says how much it differs.

    Raises
    ------
    ExposureError
        If it is another, and ``sample`` is not set, or it is undefined nearly everywhere.
    """
    from lsst.images.psfs import GaussianPointSpreadFunction, PiffWrapper

    bounds = box_for_lsst_images(box)
    if isinstance(psf, GaussianPsf) and psf.stamp_shape[0] == psf.stamp_shape[1]:
        return GaussianPointSpreadFunction(psf.sigma, bounds=bounds, stamp_size=psf.stamp_shape[0])
    if isinstance(psf, PiffPsf) and (stored := _of_pixel_scale(psf.piff_psf)) is not None:
        return PiffWrapper(stored, bounds=bounds, stamp_size=psf.stamp_shape[0])
    recipe = _SHIFTED if type(psf).images is Psf.images else _DRAWN
    name = type(psf).__name__
    if recipe is _DRAWN and not sample:
        raise _cannot_be_stored(name)
    grid = _pixel_grid(psf, box, recipe)
    found = difference(psf, grid, box)
    if not sample and not found.kernel_images <= _FAITHFUL:
        raise _cannot_be_stored(name)
    if not found.stamps <= WORTH_SAYING:
        _LOG.warning(
            "The %s is stored as a pixel grid (a Piff model); its stamps differ by up to %.1g of their peak",
            name,
            found.stamps,
        )
    return PiffWrapper(grid.piff_psf, bounds=bounds, stamp_size=grid.stamp_shape[0])


def difference(psf: Psf, other: Psf, box: Box) -> Difference:
    """Compare two PSFs at some positions in a box."""
    rng = np.random.default_rng(1)
    x = rng.uniform(box.x0 - 0.5, box.x_stop - 0.5, _N_CHECKS)
    y = rng.uniform(box.y0 - 0.5, box.y_stop - 0.5, _N_CHECKS)
    kernels, others = psf.kernel_images(x, y), other.kernel_images(x, y)
    stamps, other_stamps = psf.images(x, y), other.images(x, y)
    both = kernels.valid & others.valid & stamps.valid & other_stamps.valid
    return Difference(
        _apart(kernels.images[both], others.images[both]),
        _apart(stamps.images[both], other_stamps.images[both]),
        float(1.0 - both.sum() / max(int(kernels.valid.sum()), 1)),
    )


def _apart(images: FloatArray, others: FloatArray) -> float:
    a, b = _common_middle(images, others)
    return float(np.abs(a - b).max() / np.abs(a).max()) if len(a) else np.nan


def box_for_lsst_images(box: Box) -> Any:
    """Turn our box into one of lsst.images."""
    from lsst.images import Box as ImagesBox

    return ImagesBox.factory[box.y0 : box.y_stop, box.x0 : box.x_stop]


def _cannot_be_stored(name: str) -> ExposureError:
    return ExposureError(
        f"Visit images of lsst.images store Gaussian PSFs, and Piff models in pixel coordinates; this {name} is "
        "neither. Ask for it to be sampled (--sample-psf, or sample_psf=True), and it becomes a pixel grid."
    )


def _of_pixel_scale(piff_psf: Any) -> Any:
    """Return a Piff model as lsst.images stores it, chip 0 of a plain pixel scale; None if it is no such."""
    import galsim

    (wcs,) = piff_psf.wcs.values()
    if piff_psf.pointing is not None or type(wcs) is not galsim.PixelScale:
        return None
    stored = copy.copy(piff_psf)
    stored.wcs = {0: wcs}
    return stored


def _pixel_grid(psf: Psf, box: Box, recipe: _Recipe) -> PiffPsf:
    """Fit a pixel grid that varies as a polynomial of the position."""
    import galsim
    import piff

    basis, order = _fit(_with_margin(psf), box, recipe.oversampling)
    n_terms, side = len(basis), basis.shape[1]
    model = piff.PixelGrid(
        scale=1.0 / recipe.oversampling,
        size=side,
        interp=galsim.Lanczos(recipe.lanczos, conserve_dc=False),
    )
    interp = piff.BasisPolynomial(order=order, keys=("x", "y"))
    interp.q = np.ascontiguousarray(basis.reshape(n_terms, -1).T)
    grid = piff.SimplePSF(model, interp)
    grid.wcs, grid.pointing, grid.stars = {0: galsim.PixelScale(1.0)}, None, []
    if isinstance(psf, PiffPsf):
        return PiffPsf(grid, psf.stamp_shape[0])
    return PiffPsf(grid, side // recipe.oversampling)


def _with_margin(psf: Psf) -> Psf:
    return PiffPsf(psf.piff_psf, psf.stamp_shape[0] + 2 * _PIFF_MARGIN) if isinstance(psf, PiffPsf) else psf


def _fit(psf: Psf, box: Box, oversampling: int) -> tuple[FloatArray, int]:
    """Fit polynomials of as low an order as will do to the pixels of finely sampled kernel images.

    Returns
    -------
    The grid that each term multiplies, shape (terms, side, side), and the order.
    """
    for order in range(_MAX_ORDER + 1):
        x, y = _nodes(box, order)
        # With the PSF p and the position's fraction d, pixel i of a stamp is p(i - d).
        half = oversampling // 2
        basis: FloatArray | None = None
        misfit = peak = 0.0
        for j, i in product(range(-half, half + 1), repeat=2):
            at_x, at_y = x + i / oversampling, y + j / oversampling
            if oversampling == 1:
                images, valid = psf.kernel_images(at_x, at_y)[:2]
            else:
                stamps = psf.images(at_x, at_y)
                images, valid = stamps.images, stamps.valid
            terms = _terms(at_x, at_y, order)
            if valid.sum() < terms.shape[1]:
                raise ExposureError(
                    f"The {type(psf).__name__} is undefined nearly everywhere; it cannot be stored."
                )
            square = _square(images[valid])
            flat = square.reshape(len(square), -1)
            scale = np.abs(terms).max(axis=0)
            fitted = np.linalg.lstsq(terms[valid] / scale, flat, rcond=1e-15)[0]
            misfit = max(misfit, float(np.abs(terms[valid] / scale @ fitted - flat).max()))
            peak = max(peak, float(np.abs(flat).max()))
            side = square.shape[1]
            if basis is None:
                basis = np.zeros((terms.shape[1], side * oversampling, side * oversampling))
            basis[:, half - j :: oversampling, half - i :: oversampling] = (fitted / scale[:, np.newaxis]).reshape(
                -1, side, side
            )
        if misfit < _FAITHFUL * peak or order == _MAX_ORDER:
            break
    assert basis is not None  # noqa: S101 - for the type checker; the loop runs
    return basis, order


def _nodes(box: Box, order: int) -> tuple[FloatArray, FloatArray]:
    """Choose positions at pixel centres, denser towards the edges as for Chebyshev polynomials."""
    n = order + 3
    place = 0.5 - 0.5 * np.cos(np.pi * (np.arange(n) + 0.5) / n)
    x, y = np.meshgrid(np.round(box.x0 + place * (box.width - 1)), np.round(box.y0 + place * (box.height - 1)))
    return x.ravel(), y.ravel()


def _terms(x: FloatArray, y: FloatArray, order: int) -> FloatArray:
    """Evaluate the polynomial terms in Piff's order, shape (n, terms)."""
    powers = np.arange(order + 1)
    in_x, in_y = np.nonzero(np.add.outer(powers, powers) <= order)
    terms: FloatArray = np.power.outer(x, in_x) * np.power.outer(y, in_y)
    return terms


def _square(images: FloatArray) -> FloatArray:
    """Put images into squares, with zeros around them."""
    n, height, width = images.shape
    side = max(height, width)
    result = np.zeros((n, side, side))
    low_y, low_x = (side - height) // 2, (side - width) // 2
    result[:, low_y : low_y + height, low_x : low_x + width] = images
    return result


def _common_middle(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    height, width = min(a.shape[1], b.shape[1]), min(a.shape[2], b.shape[2])

    def middle(images: FloatArray) -> FloatArray:
        low_y, low_x = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
        return images[:, low_y : low_y + height, low_x : low_x + width]

    return middle(a), middle(b)
