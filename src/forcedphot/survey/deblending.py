"""Deblending: the pixels of a footprint with several peaks, shared among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..catalog.footprint import Footprint
from ..conventions import BoolArray, FloatArray
from ..errors import ExposureError
from ..plugins.base import missing_component

if TYPE_CHECKING:
    from ..exposure import Exposure
    from ..psf.base import Stamps

_SMALLEST_SHARE = 0.002
"""Pixels of which a child gets less than this are not its own."""


class _Window(NamedTuple):
    """The box around a footprint, and what is in it."""

    x0: int
    y0: int
    image: FloatArray
    inside: BoolArray


def deblend(exposure: Exposure, footprints: Sequence[Footprint]) -> list[list[Footprint]]:
    """Divide footprints with several peaks into heavy ones with one peak each, which add up to the image.

    Every pixel is shared in the ratio of the peaks' templates. A template is what remains of the image without the
    other peaks' point sources (all fitted together), made symmetric about the peak; but no less than its
    own point source.

    Parameters
    ----------
    exposure
        The image; the pixels of children are its.
    footprints
        Parents, on this image.

    Returns
    -------
    For each footprint the children, in the order of its peaks; none where there is one peak.
    """
    if exposure.psf is None:
        raise ExposureError(missing_component(exposure, "PSF"))
    blends = [i for i, footprint in enumerate(footprints) if len(footprint.peaks) > 1]
    children: list[list[Footprint]] = [[] for _ in footprints]
    if not blends:
        return children
    x, y = (
        np.concatenate([footprints[i].peaks[name] for i in blends]).astype(np.float64) for name in ("f_x", "f_y")
    )
    stamps = exposure.psf.images(x, y)
    first = 0
    for i in blends:
        n_peaks = len(footprints[i].peaks)
        children[i] = _children(exposure, footprints[i], stamps, range(first, first + n_peaks))
        first += n_peaks
    return children


def _children(exposure: Exposure, parent: Footprint, stamps: Stamps, which: range) -> list[Footprint]:
    window = _window(exposure, parent)
    points = np.array([_drawn(stamps, i, window) for i in which])
    models = _fitted_fluxes(points, window)[:, None, None] * points
    without_others = window.image - models.sum(axis=0) + models
    templates = np.array(
        [
            np.maximum(_symmetric(rest, float(peak["f_x"]) - window.x0, float(peak["f_y"]) - window.y0), model)
            for rest, model, peak in zip(without_others, models, parent.peaks, strict=True)
        ]
    )
    shares = _shares(templates, points)
    return [_child(parent, share, i, window) for i, share in enumerate(shares)]


def _window(exposure: Exposure, parent: Footprint) -> _Window:
    box = parent.bbox
    rows = slice(box.y0 - exposure.y0, box.y_stop - exposure.y0)
    columns = slice(box.x0 - exposure.x0, box.x_stop - exposure.x0)
    inside = np.zeros(box.shape, dtype=bool)
    x, y = parent.pixels()
    inside[y - box.y0, x - box.x0] = True
    image = np.nan_to_num(exposure.image[rows, columns].astype(np.float64), posinf=0.0, neginf=0.0)
    return _Window(box.x0, box.y0, np.where(inside, image, 0.0), inside)


def _drawn(stamps: Stamps, i: int, window: _Window) -> FloatArray:
    """Return the PSF at a peak, as far as it is in the window."""
    drawn = np.zeros(window.image.shape)
    if stamps.valid[i]:
        only = np.zeros(len(stamps.valid), dtype=bool)
        only[i] = True
        stamps.take(only).add_to(drawn, window.x0, window.y0, np.ones(1))
    return np.where(window.inside, np.maximum(drawn, 0.0), 0.0)


def _fitted_fluxes(points: FloatArray, window: _Window) -> FloatArray:
    """Fit point sources at all peaks together, all pixels weighted alike; none is negative."""
    matrix = points[:, window.inside]
    normal = matrix @ matrix.T
    # Peaks closer than the PSF can tell apart would get huge fluxes of opposite signs.
    normal[np.diag_indices_from(normal)] *= 1.0 + 1e-3
    right = matrix @ window.image[window.inside]
    fluxes: FloatArray = np.maximum(np.linalg.lstsq(normal, right)[0], 0.0)
    return fluxes


def _symmetric(image: FloatArray, x: float, y: float) -> FloatArray:
    """Return the lesser of each pixel and the one opposite the peak; no less than 0, and 0 beyond the window."""
    height, width = image.shape
    opposite = np.zeros_like(image)
    columns = np.rint(2 * x).astype(int) - np.arange(width)
    rows = np.rint(2 * y).astype(int) - np.arange(height)
    good_columns = np.flatnonzero((columns >= 0) & (columns < width))
    good_rows = np.flatnonzero((rows >= 0) & (rows < height))
    opposite[np.ix_(good_rows, good_columns)] = image[np.ix_(rows[good_rows], columns[good_columns])]
    return np.maximum(np.minimum(image, opposite), 0.0)


def _shares(templates: FloatArray, points: FloatArray) -> FloatArray:
    """Return the part of each pixel that each child gets, shape (n children, height, width); they add up to 1."""
    n_children = len(templates)
    total = templates.sum(axis=0)
    # Where no template has light, the pixel goes to the peak whose PSF reaches it most.
    nearest = np.argmax(points, axis=0)
    is_nearest = np.arange(n_children)[:, None, None] == nearest
    shares: FloatArray = np.where(total > 0, templates / np.where(total > 0, total, 1.0), is_nearest)
    shares[shares < _SMALLEST_SHARE] = 0.0
    return shares / shares.sum(axis=0)


def _child(parent: Footprint, share: FloatArray, i: int, window: _Window) -> Footprint:
    owned = window.inside & (share > 0)
    edges = np.diff(np.pad(owned, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (row, start), (_, stop) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    spans = np.stack([row + window.y0, start + window.x0, stop - 1 + window.x0], axis=1).astype(np.int32)
    return Footprint(
        spans=spans,
        peaks=parent.peaks[i : i + 1],
        image=(share * window.image)[owned].astype(np.float32),
    )
