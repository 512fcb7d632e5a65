"""Exposures become images of lsst.images - VisitImage, or CellCoadd for coadds - and files of them.

What these types have no place for is named in a warning. Importing this module does not import lsst.images.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

from ..errors import ExposureError, OutputError
from ..exposure import ConstantField, Exposure, Wcs
from ..psf import CellPsf, CoaddPsf, Psf
from .atomic import atomic_output
from .lsst_images import CALIBRATION_ERROR, CALIBRATION_MEAN
from .lsst_images_coadd import cell_coadd
from .lsst_images_parts import (
    detector_for_lsst_images,
    field_for_lsst_images,
    metadata_for_lsst_images,
    planes_for_lsst_images,
    summary_stats_for_lsst_images,
    unstored_visit_info,
    visit_info_for_lsst_images,
    warn_of_loss,
)
from .lsst_images_psf import box_for_lsst_images, psf_for_visit_image
from .lsst_images_wcs import projection_for_lsst_images

type Kind = Literal["visit-image", "cell-coadd"]

_LOG = logging.getLogger(__name__)

_SAME = 1e-12
_UNKNOWN = "unknown"


def write_lsst_images(
    exposure: Exposure,
    path: str | Path,
    *,
    kind: Kind | None = None,
    sample_psf: bool = False,
    overwrite: bool = False,
) -> None:
    """Write an exposure as a FITS file of lsst.images; pixels are compressed without loss.

    Parameters
    ----------
    path
        Where to, ending in .fits; the file is written whole or not at all.
    kind, sample_psf
        As for `exposure_to_lsst_images`.
    overwrite
        Replace an existing file.

    Raises
    ------
    ExposureError
        As `exposure_to_lsst_images` does.
    OutputError
        If the file cannot be written.
    """
    from lsst.images.serialization import write_archive

    if Path(path).suffix != ".fits":
        raise OutputError(f"{path} should end in .fits, as files of lsst.images do.")
    with atomic_output(path, overwrite=overwrite) as temporary:
        write_archive(exposure_to_lsst_images(exposure, kind=kind, sample_psf=sample_psf), temporary)


def exposure_to_lsst_images(exposure: Exposure, *, kind: Kind | None = None, sample_psf: bool = False) -> Any:
    """Turn an exposure into a VisitImage or CellCoadd of lsst.images.

    Parameters
    ----------
    exposure
        It needs a variance, WCS and PSF. Pixels are held, not copied.
    kind
        Which of them. If None, images with a tract, with inputs, or with the PSF of a coadd become a
        CellCoadd, all others a VisitImage.
    sample_psf
        Store samples of a PSF that the type cannot hold as it is: a pixel grid in a VisitImage, a kernel
        image per cell in a CellCoadd. A warning says how much these differ.

    Raises
    ------
    ExposureError
        If the exposure lacks what the type must have, or has what it cannot hold, or there is no such type.
    """
    if kind not in (None, "visit-image", "cell-coadd"):
        raise ExposureError(f"There are visit-image and cell-coadd of lsst.images, and fits; not {kind!r}.")
    wcs, psf = exposure.wcs, exposure.psf
    if exposure.variance is None or wcs is None or psf is None:
        missing = [name for name in ("variance", "wcs", "psf") if getattr(exposure, name) is None]
        raise ExposureError(
            f"Images of lsst.images have a variance, a WCS and a PSF; this one has no {' and no '.join(missing)}. "
            "Give it one: a PSF by --psf on the command line, any of them in Python by dataclasses.replace."
        )
    if (kind or _kind_of(exposure)) == "cell-coadd":
        return cell_coadd(exposure, wcs, psf, sample_psf=sample_psf)
    return _visit_image(exposure, wcs, psf, sample_psf=sample_psf)


def _kind_of(exposure: Exposure) -> Kind:
    inputs = exposure.coadd_inputs
    is_coadd = (
        isinstance(exposure.psf, CellPsf | CoaddPsf)
        or exposure.identity.tract is not None
        or (inputs is not None and len(inputs.ccds) > 0)
    )
    return "cell-coadd" if is_coadd else "visit-image"


def _visit_image(exposure: Exposure, wcs: Wcs, psf: Psf, *, sample_psf: bool) -> Any:
    from lsst.images import DetectorFrame, Polygon, VisitImage

    identity, detector, info, box = exposure.identity, exposure.detector, exposure.visit_info, exposure.bbox
    instrument = identity.instrument or (None if info is None else info.instrument)
    number = detector.number if detector is not None else identity.detector
    physical_filter, band = identity.physical_filter, identity.band
    must_have = {
        "instrument": instrument,
        "detector": detector,
        "physical filter": physical_filter,
        "band": band,
        "unit": exposure.unit,
    }
    invented = [name for name, value in must_have.items() if value is None]
    if invented:
        _LOG.warning(
            "Nothing is known of %s, which visit images have: placeholders are written", ", ".join(invented)
        )
    instrument, number = instrument or _UNKNOWN, number or 0
    physical_filter = physical_filter or band or _UNKNOWN
    unit, scaling = _calibration(exposure)
    stats, unknown_stats = summary_stats_for_lsst_images(exposure.summary_stats)
    warn_of_loss(exposure, "VisitImage", ["coadd_inputs"], [*unstored_visit_info(info), *unknown_stats])
    frame = DetectorFrame(
        instrument=instrument,
        visit=identity.visit,
        detector=number,
        bbox=box_for_lsst_images(box if detector is None else detector.box),
    )
    image, mask, variance = planes_for_lsst_images(exposure, unit, is_coadd=False)
    polygon = exposure.valid_polygon
    return VisitImage(
        image,
        mask=mask,
        variance=variance,
        sky_projection=projection_for_lsst_images(wcs, frame, box),
        bounds=None if polygon is None else Polygon(x_vertices=polygon.x, y_vertices=polygon.y),
        obs_info=visit_info_for_lsst_images(exposure, instrument, physical_filter, number),
        summary_stats=stats,
        photometric_scaling=scaling,
        psf=psf_for_visit_image(psf, box, sample=sample_psf),
        detector=detector_for_lsst_images(exposure, number, instrument),
        aperture_corrections={
            name: field_for_lsst_images(field, box)
            for name, field in (exposure.aperture_corrections or {}).items()
        },
        band=band or _UNKNOWN,
        metadata=metadata_for_lsst_images(exposure) | _calibration_notes(exposure),
    )


def _calibration(exposure: Exposure) -> tuple[Any, Any]:
    """Return the unit and the photometric scaling that say what the exposure's calibration says."""
    from astropy import units

    calibration, unit = exposure.photo_calib, exposure.unit
    if calibration is None:
        return (units.adu if unit is None else unit), None
    if unit is not None and unit.is_equivalent(units.nJy):
        if calibration.field is None and abs(calibration.mean / float(unit.to(units.nJy)) - 1.0) < _SAME:
            return unit, None
        _LOG.warning(
            "The pixels are in %s according to their unit, but %.7g nJy according to their calibration, which is "
            "taken for true: their unit becomes adu",
            unit,
            calibration.mean,
        )
        unit = None
    unit = units.adu if unit is None else unit
    field = ConstantField(calibration.mean) if calibration.field is None else calibration.field
    return unit, field_for_lsst_images(field, exposure.bbox, units.nJy / unit)


def _calibration_notes(exposure: Exposure) -> dict[str, float]:
    """Note what a scaling has no place for."""
    calibration = exposure.photo_calib
    notes = {}
    if calibration is not None and calibration.mean_err != 0.0:
        notes[CALIBRATION_ERROR] = float(calibration.mean_err)
    if calibration is not None and calibration.field is not None:
        notes[CALIBRATION_MEAN] = float(calibration.mean)
    return notes
