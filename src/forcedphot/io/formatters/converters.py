"""Converters of the Butler's storage classes: exposures become images of lsst.images where these are stored."""

from __future__ import annotations

from typing import Any

from ...errors import ExposureError
from ...exposure import Exposure


def visit_image(exposure: Exposure) -> Any:
    """Turn an exposure into a VisitImage: see `Exposure.to_lsst_images`."""
    return exposure.to_lsst_images("visit-image")


def cell_coadd(exposure: Exposure) -> Any:
    """Turn an exposure into a CellCoadd: see `Exposure.to_lsst_images`."""
    return exposure.to_lsst_images("cell-coadd")


def difference_image(exposure: Exposure) -> Any:
    """Refuse, in place of the converter that difference images inherit from visit images.

    Raises
    ------
    ExposureError
        Always.
    """
    raise ExposureError(
        f"An exposure ({exposure.identity}) has no kernel and no templates, which a DifferenceImage must have; "
        "put it with a dataset type of the storage class VisitImage."
    )
