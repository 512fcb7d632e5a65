"""How close columns must be to the pipelines' own, by family; the tolerances of the golden data's README."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from astropy.table import Table


class PsfTolerance(NamedTuple):
    """How close what depends on a PSF must be."""

    relative: float
    """Of fluxes and errors."""
    of_error: float
    """Of fluxes and errors, in units of the flux's error; added."""
    area_and_chi2: float
    """Relative."""


KERNEL_IMAGE = PsfTolerance(1e-6, 1e-4, 1e-5)
PIFF = PsfTolerance(1e-5, 1e-3, 1e-4)
RESAMPLED = PsfTolerance(1e-4, 1e-2, 1e-3)
"""PsfexPsf, CoaddPsf, WarpedPsf."""


def allowed_difference(
    expected: Table, name: str, *, psf: PsfTolerance, is_variance_scaled: bool
) -> npt.NDArray[np.float64]:
    """Return the largest allowed |ours - expected| of a float column, for each row.

    Parameters
    ----------
    expected
        The pipelines' table.
    name
        A column of it that is no slot alias.
    psf
        The PSF's.
    is_variance_scaled
        Whether the variance plane was scaled: by another background mesh than ours, so that errors
        may differ by 0.6% and chi2 by 1.2%.
    """
    values = np.abs(np.asarray(expected[name], dtype=np.float64))
    if is_variance_scaled and name.endswith("Err"):
        return 6e-3 * values
    if is_variance_scaled and name.endswith("_chi2"):
        return 1.2e-2 * values
    if name.endswith(("_apCorr", "_apCorrErr")):
        return 1e-9 * values
    if name.endswith(("_area", "_chi2")):
        return psf.area_and_chi2 * values
    if "TransformedCentroid" in name or name.startswith("slot_Centroid"):
        return np.full_like(values, 1e-6)
    if name.startswith("coord_"):
        return 1e-15 * values
    error = _error_of(expected, name)
    if name.startswith(_LOCAL):
        local: npt.NDArray[np.float64] = 1e-5 * values + 1e-12 * np.nanmax(values, initial=0.0)
        return local
    if "instFlux" in name and not name.startswith(_SHAPES):
        relative, of_error = psf[:2] if "PsfFlux" in name or "GaussianFlux" in name else (1e-5, 1e-3)
        return relative * values + of_error * error
    return np.fmax(1e-4 * values, 1e-3 * error) + (_nothing(expected, name) if not error.any() else 0.0)


_LOCAL = ("base_LocalBackground", "base_Variance", "base_LocalWcs", "base_LocalPhotoCalib")
_SHAPES = ("base_SdssShape", "base_SdssCentroid", "ext_shapeHSM", "base_Blendedness", "base_PeakLikelihood")


def _nothing(expected: Table, name: str) -> npt.NDArray[np.float64]:
    """Return what counts as 0 of a quantity without an error that may be 0: 1e-7 of the size, or of 1."""
    if name.endswith("_xy"):
        stem = name.removesuffix("xy")
        size: npt.NDArray[np.float64] = 1e-7 * np.hypot(expected[f"{stem}xx"], expected[f"{stem}yy"])
        return np.nan_to_num(size)
    return np.full(len(expected), 1e-7 if name.endswith(("_raw", "_abs", "_old")) else 0.0)


def _error_of(expected: Table, name: str) -> npt.NDArray[np.float64]:
    """Return the column of a value's own error; 0 where there is none.

    A flux's covariance with xy is as uncertain as xy, in the proportion of the covariance with xx to xx.
    """
    if name.endswith("_instFlux_xy_Cov"):
        shape = name.removesuffix("_instFlux_xy_Cov")
        ratio = np.asarray(expected[f"{shape}_instFlux_xx_Cov"], dtype=np.float64) / expected[f"{shape}_xx"]
        return np.abs(np.asarray(ratio * expected[f"{shape}_xyErr"], dtype=np.float64))
    stem = name.removesuffix("Err")
    if f"{stem}Err" not in expected.colnames:
        return np.zeros(len(expected))
    return np.abs(np.asarray(expected[f"{stem}Err"], dtype=np.float64))
