"""Coadds of a patch: visit images warped and averaged, as CellCoadd of lsst.images.

Every input has one weight, the inverse of its typical variance, so that the weights know nothing of the sources:
the coadd of a point source is then the coadd of its PSFs. Pixels whose interpolation would touch a masked one are
left out.

The variance is that of each pixel by itself. Lanczos interpolation averages neighbours, so warped pixels have 0.8
of the visits' variance and are correlated, while fluxes of sources, sums over many pixels, keep their noise:
errors that follow from the variance plane are about 10 % too small. Those of the pipelines' coadds are so, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, Box
from ..errors import ExposureError
from ..exposure import Exposure, Identity, Mask, PhotoCalib
from ..exposure.wcs import AstropyWcs
from ..io.lsst_images_parts import planes_for_lsst_images
from ..io.lsst_images_psf import box_for_lsst_images
from ..io.lsst_images_wcs import projection_for_lsst_images
from .coadd_cells import CellInput, PatchCells
from .detector_effects import interpolate
from .plan import PatchPlan, SurveyPlan
from .warps import Warp, warp_to

if TYPE_CHECKING:
    from ..exposure import Wcs

type CoaddInput = Exposure
"""A visit image in nJy, with all that `Exposure.read` finds in its file."""

PLANES = {
    name: bit
    for bit, name in enumerate(
        (
            "NO_DATA",
            "INTERPOLATED",
            "COSMIC_RAY",
            "SATURATED",
            "DETECTION_EDGE",
            "CLIPPED",
            "REJECTED",
            "DETECTED",
            "INEXACT_PSF",
            "SENSOR_EDGE",
            "SUSPECT",
            "DETECTED_NEGATIVE",
        )
    )
}
"""Mask planes of coadds and their bits; DETECTION_EDGE and DETECTED(_NEGATIVE) are for who detects sources."""

_DEFECTS = ("SATURATED", "BAD", "COSMIC_RAY")
_PASSED_ON = {"INTERPOLATED": "INTERPOLATED", "SUSPECT": "SUSPECT", "DETECTION_EDGE": "SENSOR_EDGE"}
"""Planes of pixels that are used, and what they become; near a border nothing is detected, but pixels are good."""
_SATURATED_FRACTION = 0.1


def coadd_patch(plan: SurveyPlan, patch: PatchPlan, band: str, inputs: Sequence[CoaddInput]) -> Any:
    """Coadd visit images on a patch.

    A pixel is NaN, and has the plane NO_DATA, where no input has data; where all that do have defects (BAD,
    SATURATED, COSMIC_RAY), it is interpolated along rows or columns.

    Parameters
    ----------
    plan, patch
        What is made; the coadd covers the patch and its overlap.
    band
        Of the images.
    inputs
        Images of that band; those that do not touch the patch are passed over.

    Returns
    -------
    A CellCoadd of lsst.images, which has no type for other coadds. A cell's PSF and aperture corrections are those
    of the inputs that contribute to more than half of its pixels; pixels that have others are marked INEXACT_PSF.
    Cells without inputs are missing.
    """
    wcs = AstropyWcs(plan.tract_wcs)
    cells = PatchCells(patch.outer, plan.size.cell_pix)
    stack = _Stack(patch.outer)
    members = []
    for exposure in inputs:
        warp = warp_to(wcs, patch.outer, exposure)
        if warp is None:
            continue
        member = stack.add(exposure, warp, cells, wcs)
        if member is not None:
            members.append(member)
    return _cell_coadd(plan, patch, stack.exposure(band, cells.pixels(cells.missing(members))), cells, members)


def template_patch(
    plan: SurveyPlan, patch: PatchPlan, band: str, inputs: Sequence[tuple[CoaddInput, CoaddInput]]
) -> Any:
    """Coadd on a patch what was subtracted from visit images: the sky as the templates know it.

    Parameters
    ----------
    plan, patch, band
        As for `coadd_patch`.
    inputs
        Visit images and their difference images, which need not be more than pixels and variances.

    Returns
    -------
    As `coadd_patch` returns it.
    """
    return coadd_patch(plan, patch, band, [_subtracted(*pair) for pair in inputs])


def _subtracted(visit: Exposure, difference: Exposure) -> Exposure:
    """Return the template of a difference image, on the pixels of the visit image."""
    if visit.variance is None or difference.variance is None:
        raise ExposureError(f"An image without a variance cannot be coadded ({visit.identity}).")
    with np.errstate(invalid="ignore"):  # infinite where there are no data
        variance = difference.variance - visit.variance
    return replace(visit, image=visit.image - difference.image, variance=variance)


class _Stack:
    """Sums of warps over the pixels of a patch."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._weight, self._image, self._variance = (np.zeros(box.shape) for _ in range(3))
        self._n_inputs, self._n_saturated = (np.zeros(box.shape, dtype=np.uint16) for _ in range(2))
        self._mask = np.zeros(box.shape, dtype=np.uint16)

    def add(self, exposure: Exposure, warp: Warp, cells: PatchCells, wcs: Wcs) -> CellInput | None:
        """Add a warp with its weight; return what cells have of it, None if it has no good pixels."""
        mask = exposure.mask or Mask(np.zeros(exposure.image.shape, dtype=np.uint8))
        bits = {name: _bits(mask, name) for name in ("NO_DATA", *_DEFECTS, *_PASSED_ON)}
        no_data, defects = bits["NO_DATA"], sum(bits[name] for name in _DEFECTS)  # each plane has a bit of its own
        weight = None if exposure.variance is None else _weight(exposure.variance, mask, defects | no_data)
        if weight is None:
            return None
        covered = np.isfinite(warp.image) & np.isfinite(warp.variance)
        inside = covered & (warp.bits & no_data == 0)
        used = inside & (warp.bits & defects == 0)
        part = warp.box.y0 - self._box.y0, warp.box.x0 - self._box.x0
        here = tuple(slice(start, start + n) for start, n in zip(part, warp.image.shape, strict=True))
        self._weight[here] += weight * used
        self._image[here] += np.where(used, weight * warp.image, 0.0)
        self._variance[here] += np.where(used, weight**2 * warp.variance, 0.0)
        self._n_inputs[here] += inside
        self._n_saturated[here] += inside & (warp.bits & bits["SATURATED"] != 0)
        on_patch = _on(self._box, here, used)
        member = cells.input(exposure, wcs, _on(self._box, here, covered), on_patch, weight)
        self._mask[cells.pixels(member.belongs) ^ on_patch] |= _plane("INEXACT_PSF")
        marks = {new: used & (warp.bits & bits[name] != 0) for name, new in _PASSED_ON.items()}
        marks["REJECTED"] = inside & ~used
        marks["COSMIC_RAY"] = inside & (warp.bits & bits["COSMIC_RAY"] != 0)
        for plane, marked in marks.items():
            self._mask[here][marked] |= _plane(plane)
        return member

    def exposure(self, band: str, missing: BoolArray) -> Exposure:
        """Return the weighted mean.

        Parameters
        ----------
        band
            Of the images.
        missing
            Pixels of cells that are missing.
        """
        from astropy import units

        has_data = (self._weight > 0.0) & ~missing
        total = np.where(has_data, self._weight, np.nan)
        image, variance = self._image / total, self._variance / total**2
        mask = self._mask.copy()
        holes = ~has_data & (self._n_inputs > 0) & ~missing
        if has_data.any():
            for plane in (image, variance):
                interpolate(plane, ~has_data)
                plane[~has_data & ~holes] = np.nan
        mask[holes] |= _plane("INTERPOLATED")
        mask[~has_data] |= _plane("NO_DATA")
        mask[self._n_saturated > _SATURATED_FRACTION * self._n_inputs] |= _plane("SATURATED")
        return Exposure(
            image=image.astype(np.float32),
            variance=variance.astype(np.float32),
            mask=Mask(mask, PLANES),
            x0=self._box.x0,
            y0=self._box.y0,
            photo_calib=PhotoCalib(1.0),
            unit=units.nJy,
            identity=Identity(band=band),
        )


def _cell_coadd(
    plan: SurveyPlan, patch: PatchPlan, exposure: Exposure, cells: PatchCells, members: Sequence[CellInput]
) -> Any:
    """Put the parts together."""
    from lsst.images import YX, TractFrame
    from lsst.images.cells import CellCoadd, CellField, CellPointSpreadFunction, PatchDefinition

    frame = TractFrame(
        skymap=plan.profile.skymap, tract=plan.profile.tract, bbox=box_for_lsst_images(plan.tract_box)
    )
    bounds = cells.bounds(cells.missing(members))
    image, mask, variance = planes_for_lsst_images(exposure, exposure.unit, is_coadd=True)
    return CellCoadd(
        image,
        mask=mask,
        variance=variance,
        sky_projection=projection_for_lsst_images(AstropyWcs(plan.tract_wcs), frame, patch.outer),
        band=exposure.identity.band,
        psf=CellPointSpreadFunction(cells.mean_kernels(members), bounds),
        aperture_corrections={
            name: CellField(bounds, values) for name, values in cells.mean_corrections(members).items()
        },
        patch=PatchDefinition(
            id=patch.id,
            index=YX(y=patch.row, x=patch.column),
            inner_bbox=box_for_lsst_images(patch.inner),
            cells=bounds.grid,
        ),
        provenance=cells.provenance(members, {visit.id: visit.day_obs for visit in plan.visits}),
    )


def _weight(variance: npt.NDArray[np.float32], mask: Mask, bad: int) -> float | None:
    """Return one over the median variance of the good pixels; None without any."""
    good = variance[(mask.array & bad == 0) & np.isfinite(variance)]
    return 1.0 / float(np.median(good)) if good.size else None


def _bits(mask: Mask, name: str) -> int:
    """Return the bit of a plane, 0 if the mask has no such plane."""
    bit = mask.find(name)
    return 0 if bit is None else 1 << bit


def _plane(name: str) -> np.uint16:
    return np.uint16(1 << PLANES[name])


def _on(box: Box, part: tuple[slice, ...], marked: BoolArray) -> BoolArray:
    """Put the pixels of a part into the box."""
    whole = np.zeros(box.shape, dtype=bool)
    whole[part] = marked
    return whole
