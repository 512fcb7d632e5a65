"""Cells of a coadd: which inputs each has; PSF, aperture corrections and provenance that follow from these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..conventions import BoolArray, Box, FloatArray
from ..errors import ExposureError
from ..exposure import Exposure, Identity, Wcs
from ..io.lsst_images_psf import box_for_lsst_images
from ..psf.base import KernelImages
from ..psf.warped import WarpedPsf
from .warps import WARPING_KERNEL, ThroughSky

_ENOUGH = 0.5
"""An input belongs to a cell if it contributes to more than this fraction of the pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class CellInput:
    """What the cells of a patch have of one input.

    Parameters
    ----------
    identity
        Of the input.
    weight
        In the coadd.
    covered, used
        Fraction of each cell that the input covers, and contributes to; shape (rows, columns).
    holds_centre
        Whether the centre of a cell is on the input, shape (rows, columns).
    belongs
        Whether it is one of a cell's inputs, shape (rows, columns).
    kernels
        Its PSF, warped, in those cells, in the order of ``numpy.nonzero(belongs)``.
    aperture_corrections
        Its own in those cells.
    corners
        x and y of its corners on the coadd, shape (2, 4).
    """

    identity: Identity
    weight: float
    covered: FloatArray
    used: FloatArray
    holds_centre: BoolArray
    belongs: BoolArray
    kernels: KernelImages
    aperture_corrections: Mapping[str, FloatArray]
    corners: FloatArray


class PatchCells:
    """The cells of a patch.

    Parameters
    ----------
    box
        Of the patch with its overlap: a whole number of cells.
    side
        Of a cell, pixels.

    Raises
    ------
    ExposureError
        If it is none.
    """

    def __init__(self, box: Box, side: int) -> None:
        if box.width % side or box.height % side:
            raise ExposureError(f"A patch of {box.width} x {box.height} pixels has no cells of {side} x {side}.")
        self.box = box
        self.side = side
        self.shape = box.height // side, box.width // side
        rows, columns = np.indices(self.shape)
        self._x = (box.x0 + (columns + 0.5) * side - 0.5).astype(np.float64)
        self._y = (box.y0 + (rows + 0.5) * side - 0.5).astype(np.float64)

    def fractions(self, marked: BoolArray) -> FloatArray:
        """Return the fraction of each cell's pixels that are marked."""
        rows, columns = self.shape
        found: FloatArray = marked.reshape(rows, self.side, columns, self.side).mean(axis=(1, 3))
        return found

    def pixels(self, marked: BoolArray) -> BoolArray:
        """Return the pixels of marked cells, shape of the box."""
        return marked.repeat(self.side, axis=0).repeat(self.side, axis=1)

    def input(self, exposure: Exposure, wcs: Wcs, covered: BoolArray, used: BoolArray, weight: float) -> CellInput:
        """Find what the cells have of an input.

        Parameters
        ----------
        exposure
            The input.
        wcs
            Of the coadd.
        covered, used
            Pixels of the coadd that the input covers, and that it contributes to.
        weight
            In the coadd.

        Raises
        ------
        ExposureError
            If it has no PSF.
        """
        if exposure.psf is None or exposure.wcs is None:
            raise ExposureError(f"An image without a PSF cannot be coadded ({exposure.identity}).")
        through = ThroughSky(exposure.wcs, wcs)
        centre_x, centre_y = through.to_source(self._x.ravel(), self._y.ravel())
        fraction = self.fractions(used)
        belongs = fraction > _ENOUGH
        kernels = WarpedPsf(exposure.psf, through, WARPING_KERNEL).kernel_images(
            self._x[belongs], self._y[belongs]
        )
        belongs[belongs] = kernels.valid
        here = belongs.ravel()
        corrections = (exposure.aperture_corrections or {}).items()
        box = exposure.bbox
        edges_x, edges_y = np.array([box.x0, box.x_stop]) - 0.5, np.array([box.y0, box.y_stop]) - 0.5
        sky = exposure.wcs.pixel_to_sky(edges_x[[0, 1, 1, 0]], edges_y[[0, 0, 1, 1]])
        return CellInput(
            exposure.identity,
            weight,
            self.fractions(covered),
            fraction,
            box.contains(centre_x, centre_y).reshape(self.shape),
            belongs,
            _defined(kernels),
            {name: field.evaluate(centre_x[here], centre_y[here]) for name, field in corrections},
            np.array(wcs.sky_to_pixel(*sky)),
        )

    def mean_kernels(self, members: Sequence[CellInput]) -> FloatArray:
        """Average the PSFs of each cell's inputs, shape (rows, columns, side, side); NaN in cells without."""
        side = max((max(member.kernels.images.shape[1:]) for member in members), default=1)
        total, weights = np.zeros((*self.shape, side, side)), np.zeros(self.shape)
        for member in members:
            height, width = member.kernels.images.shape[1:]
            low_y, low_x = (side - height) // 2, (side - width) // 2
            part = total[:, :, low_y : low_y + height, low_x : low_x + width]
            part[member.belongs] += member.weight * member.kernels.images
            weights[member.belongs] += member.weight
        mean: FloatArray = total / np.where(weights > 0.0, weights, np.nan)[:, :, np.newaxis, np.newaxis]
        return mean

    def mean_corrections(self, members: Sequence[CellInput]) -> dict[str, FloatArray]:
        """Average those aperture corrections that all inputs have, shape (rows, columns); NaN in cells without."""
        first = members[0].aperture_corrections if members else {}
        names = [name for name in first if all(name in member.aperture_corrections for member in members)]
        totals, weights = {name: np.zeros(self.shape) for name in names}, np.zeros(self.shape)
        for member in members:
            weights[member.belongs] += member.weight
            for name in names:
                totals[name][member.belongs] += member.weight * member.aperture_corrections[name]
        return {name: total / np.where(weights > 0.0, weights, np.nan) for name, total in totals.items()}

    def missing(self, members: Sequence[CellInput]) -> BoolArray:
        """Return the cells that no input belongs to, shape (rows, columns)."""
        return ~np.any([np.zeros(self.shape, dtype=bool), *(member.belongs for member in members)], axis=0)

    def bounds(self, missing: BoolArray) -> Any:
        """Describe the cells to lsst.images."""
        from lsst.images import YX
        from lsst.images.cells import CellGrid, CellGridBounds, CellIJ

        box = box_for_lsst_images(self.box)
        absent = frozenset(CellIJ(i=int(i), j=int(j)) for i, j in np.argwhere(missing))
        return CellGridBounds(
            grid=CellGrid(bbox=box, cell_shape=YX(y=self.side, x=self.side)), bbox=box, missing=absent
        )

    def provenance(self, members: Sequence[CellInput], day_obs: Mapping[int, int]) -> Any:
        """Say which inputs the coadd has, and what each contributes to each cell; None without inputs.

        Parameters
        ----------
        members
            The inputs.
        day_obs
            Night of each visit.
        """
        from lsst.images import Polygon
        from lsst.images.cells import CoaddProvenance

        if not members:
            return None
        whole = Polygon.from_box(box_for_lsst_images(self.box))
        inputs = CoaddProvenance.make_empty_input_table(len(members))
        parts = []
        for row, member in zip(inputs, members, strict=True):
            identity = member.identity
            visit = 0 if identity.visit is None else identity.visit
            row["instrument"], row["visit"], row["detector"] = identity.instrument, visit, identity.detector
            row["physical_filter"], row["day_obs"] = identity.physical_filter, day_obs[visit]
            row["polygon"] = Polygon(x_vertices=member.corners[0], y_vertices=member.corners[1]).intersection(
                whole
            )
            parts.append(self._contributions(member))
        contributions = CoaddProvenance.make_empty_contribution_table(sum(len(part["cell_i"]) for part in parts))
        for name in contributions.colnames:
            contributions[name] = np.concatenate([part[name] for part in parts])
        return CoaddProvenance(inputs, contributions)

    def _contributions(self, member: CellInput) -> dict[str, Any]:
        """Return the columns of the table of contributions for one input."""
        touched = member.used > 0.0
        cell_i, cell_j = np.nonzero(touched)
        shapes = np.full((*self.shape, 3), np.nan)
        shapes[member.belongs] = member.kernels.moments()
        xx, yy, xy = shapes[touched].T
        n = len(cell_i)
        return {
            "cell_i": cell_i,
            "cell_j": cell_j,
            "instrument": np.full(n, member.identity.instrument, dtype=object),
            "visit": np.full(n, member.identity.visit),
            "detector": np.full(n, member.identity.detector),
            "overlaps_center": member.holds_centre[touched],
            "overlap_fraction": member.covered[touched],
            "unmasked_fraction": member.used[touched],
            "weight": np.full(n, member.weight),
            "psf_shape_xx": xx,
            "psf_shape_yy": yy,
            "psf_shape_xy": xy,
            "psf_shape_flag": ~np.isfinite(xx),
        }


def _defined(kernels: KernelImages) -> KernelImages:
    """Leave out where the PSF is undefined."""
    images, valid, heights, widths = kernels
    return KernelImages(images[valid], valid[valid], heights[valid], widths[valid])
