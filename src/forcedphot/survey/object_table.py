"""The table of objects of a patch, all bands in a row, under the names of a data release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..catalog.source_catalog import SourceCatalog
from ..exposure import Exposure
from ..exposure.photo_calib import ab_magnitude
from ..tasks.columns import Release, build_table
from ..tasks.table_values import Values, flux_values, picked, renamed
from .measured_columns import (
    APERTURES,
    centroid_values,
    common_values,
    coordinate_errors,
    kron_values,
    psf_flux_flags,
)
from .objects import ObjectCatalogs

if TYPE_CHECKING:
    from astropy.table import Table


def object_table(
    release: Release,
    catalogs: ObjectCatalogs,
    exposures: Mapping[str, Exposure],
    *,
    skymap: str,
    tract: int,
    patch: int,
) -> Table:
    """Make the table of a patch: DP1's has its primary objects only, DP0.2's all, and the flags to choose by.

    Parameters
    ----------
    release
        Whose names it has.
    catalogs
        What was measured.
    exposures
        The coadds, by band.
    skymap, tract, patch
        Where.
    """
    values = _reference_values(catalogs, exposures)
    values |= {"skymap": np.array(skymap), "tract": np.array(tract), "patch": np.array(patch)}
    for band, exposure in exposures.items():
        values |= {
            f"{band}_{name}": column
            for name, column in _band_values(catalogs.measured[band], catalogs.forced[band], exposure).items()
        }
    table = build_table(release, "Object", values)
    return table[catalogs.reference["detect_isPrimary"]] if release == "dp1" else table


def _reference_values(catalogs: ObjectCatalogs, exposures: Mapping[str, Exposure]) -> Values:
    reference = catalogs.reference
    first = next(iter(exposures.values()))  # of the same pixels as the others
    ra_err, dec_err, covariance = coordinate_errors(reference, first)
    is_leaf, is_child = reference["deblend_nChild"] == 0, reference["parent"] != 0
    centroids = centroid_values(reference, first)
    return {
        "coord_ra": centroids["ra"],
        "coord_dec": centroids["dec"],
        "coord_raErr": ra_err,
        "coord_decErr": dec_err,
        "coord_ra_dec_Cov": covariance,
        **{name: centroids[name] for name in ("x", "y", "xErr", "yErr")},
        "refBand": np.array(catalogs.reference_bands()),
        "detect_isDeblendedModelSource": reference["detect_isPrimary"] & is_child,
        "deblend_skipped": np.array(False),
        "deblend_isolatedParent": is_leaf & ~is_child,
        **picked(
            reference,
            {
                "objectId": "id",
                "parentObjectId": "parent",
                "refExtendedness": "base_ClassificationExtendedness_value",
                "refSizeExtendedness": "base_ClassificationSizeExtendedness_value",
                "xy_flag": "base_SdssCentroid_flag",
                "footprintArea": "base_FootprintArea_value",
                "sky_object": "merge_peak_sky",
                **{
                    f"shape_{part}": f"ext_shapeHSM_HsmSourceMoments_{part}" for part in ("xx", "yy", "xy", "flag")
                },
                **{
                    name: name
                    for name in (
                        *("deblend_nChild", "deblend_nPeaks", "deblend_peak_center_x", "deblend_peak_center_y"),
                        *("merge_peak_sky", "detect_isIsolated", "detect_fromBlend", "detect_isDeblendedSource"),
                        *("detect_isPatchInner", "detect_isTractInner", "detect_isPrimary"),
                    )
                },
            },
        ),
    }


def _band_values(measured: SourceCatalog, forced: SourceCatalog, exposure: Exposure) -> Values:
    """Return the columns of one band, without its name: fluxes are forced where the schema says so."""
    fluxes = flux_values(forced, exposure, {"psfFlux": "base_PsfFlux", **APERTURES})
    magnitude, magnitude_err = ab_magnitude(fluxes["psfFlux"], fluxes["psfFluxErr"])
    centroids = centroid_values(measured, exposure)
    calibration = flux_values(forced, exposure, {"calibFlux": "base_CircularApertureFlux_12_0"})
    return {
        **common_values(measured),
        **fluxes,
        **psf_flux_flags(forced),
        "psfMag": magnitude,
        "psfMagErr": magnitude_err,
        **flux_values(measured, exposure, {"free_psfFlux": "base_PsfFlux"}),
        **kron_values(measured, exposure),
        **{name: values for name, values in calibration.items() if "flag" not in name},
        **renamed(measured, "base_CircularApertureFlux_12_0_flag", "calibFlux_flag"),
        **renamed(measured, "base_CircularApertureFlux_12_0_flag", "apFlux_flag"),
        **{name: centroids[name] for name in ("ra", "dec", "decl", "raErr", "decErr", "ra_dec_Cov")},
        **{f"centroid_{name}": centroids[name] for name in ("x", "y", "xErr", "yErr")},
        "centroid_flag": measured["base_SdssCentroid_flag"],
    }
