"""Measured catalogs under the names of Rubin's tables: fluxes in nJy, angles in degrees, flags and shapes."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from ..catalog.source_catalog import SourceCatalog
from ..conventions import FloatArray
from ..errors import ExposureError
from ..exposure import Exposure
from ..exposure.transform import linearize
from ..plugins.base import INVALID_PSF_FLAG, missing_component
from ..tasks.table_values import Values, flux_values, picked, pixel_flags, renamed
from .measuring import KRON

APERTURES = MappingProxyType(
    {
        f"ap{radius:02d}Flux": f"base_CircularApertureFlux_{radius}_0"
        for radius in (3, 6, 9, 12, 17, 25, 35, 50, 70)
    }
)
"""Columns of aperture fluxes, and what they are measured as."""

_MOMENTS = MappingProxyType(
    {
        "": "ext_shapeHSM_HsmSourceMoments",
        "PSF": "ext_shapeHSM_HsmPsfMoments",
        "DebiasedPSF": "ext_shapeHSM_HsmPsfMomentsDebiased",
        "Round": "ext_shapeHSM_HsmSourceMomentsRound",
    }
)


def moment_values(catalog: SourceCatalog) -> Values:
    """Return second moments of sources and of PSFs, pixel^2, of those that are measured."""
    values: Values = {}
    for suffix, plugin in _MOMENTS.items():
        if catalog.schema.has(f"{plugin}_xx"):
            values |= {f"i{part}{suffix}": catalog[f"{plugin}_{part}"] for part in ("xx", "yy", "xy")}
            values |= renamed(catalog, f"{plugin}_flag", f"i{suffix}_flag")
    return values


def common_values(catalog: SourceCatalog) -> Values:
    """Return what tables of sources and the bands of tables of objects have under the same names."""
    return {
        **pixel_flags(catalog),
        **moment_values(catalog),
        **renamed(catalog, "ext_shapeHSM_HsmShapeRegauss", "hsmShapeRegauss"),
        **renamed(catalog, "base_Blendedness_flag", "blendedness_flag"),
        **picked(
            catalog,
            {
                "blendedness": "base_Blendedness_abs",
                "blendedness_abs": "base_Blendedness_abs",
                "extendedness": "base_ClassificationExtendedness_value",
                "extendedness_flag": "base_ClassificationExtendedness_flag",
                "sizeExtendedness": "base_ClassificationSizeExtendedness_value",
                "sizeExtendedness_flag": "base_ClassificationSizeExtendedness_flag",
                "invalidPsfFlag": INVALID_PSF_FLAG,
            },
        ),
    }


def psf_flux_flags(catalog: SourceCatalog) -> Values:
    """Return what is known of the fits of PSF fluxes, beside the fluxes."""
    return {
        **renamed(catalog, "base_PsfFlux_flag", "psfFlux_flag"),
        **renamed(catalog, "base_PsfFlux_apCorr", "psfFlux_apCorr"),
        **renamed(catalog, "base_PsfFlux_apCorrErr", "psfFlux_apCorrErr"),
        "psfFlux_area": catalog["base_PsfFlux_area"],
    }


def kron_values(catalog: SourceCatalog, exposure: Exposure) -> Values:
    """Return Kron fluxes, radii and flags."""
    return {**flux_values(catalog, exposure, {"kronFlux": KRON}), "kronRad": catalog[f"{KRON}_radius"]}


def centroid_values(catalog: SourceCatalog, exposure: Exposure) -> Values:
    """Return measured centroids and their errors: pixels, and degrees under the names of both releases."""
    ra, dec = (np.degrees(catalog[f"coord_{name}"]) for name in ("ra", "dec"))
    ra_err, dec_err, covariance = coordinate_errors(catalog, exposure)
    return {
        "ra": ra,
        "dec": dec,
        "decl": dec,
        "raErr": ra_err,
        "decErr": dec_err,
        "ra_dec_Cov": covariance,
        **picked(
            catalog,
            {name: f"base_SdssCentroid_{name}" for name in ("x", "y", "xErr", "yErr")},
        ),
    }


def coordinate_errors(catalog: SourceCatalog, exposure: Exposure) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return errors of right ascension and declination in degrees, and their covariance, each of shape (n,).

    They follow from those of the centroid along x and y, taken as independent. That of the right ascension is a
    difference of right ascensions, not multiplied by cos(dec).
    """
    jacobians = np.degrees(_sky_jacobians(catalog, exposure))
    variances = np.stack([catalog[f"base_SdssCentroid_{axis}Err"].astype(np.float64) ** 2 for axis in ("x", "y")])
    covariance = np.einsum("nak,kn,nbk->nab", jacobians, variances, jacobians)
    return np.sqrt(covariance[:, 0, 0]), np.sqrt(covariance[:, 1, 1]), covariance[:, 0, 1]


def pixel_areas_arcsec2(catalog: SourceCatalog, exposure: Exposure) -> FloatArray:
    """Return the area of a pixel at each source."""
    jacobians = _sky_jacobians(catalog, exposure) * np.cos(catalog["coord_dec"])[:, None, None] ** [[1], [0]]
    area: FloatArray = np.abs(np.linalg.det(np.degrees(jacobians) * 3600.0))
    return area


def _sky_jacobians(catalog: SourceCatalog, exposure: Exposure) -> FloatArray:
    """Return derivatives of ra and dec (rows), radians, by x and y (columns), shape (n, 2, 2)."""
    if exposure.wcs is None:
        raise ExposureError(missing_component(exposure, "WCS"))
    wcs = exposure.wcs
    x, y = (np.asarray(catalog[f"base_SdssCentroid_{axis}"], dtype=np.float64) for axis in ("x", "y"))
    return linearize(lambda x, y: _turned(*wcs.pixel_to_sky(x, y)), x, y)


def _turned(ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Turn right ascensions so that they do not jump from 2 pi to 0 within an image."""
    finite = ra[np.isfinite(ra)]
    first = float(finite[0]) if len(finite) else 0.0
    return (ra - first + np.pi) % (2 * np.pi), dec
