"""Footprints of a reference image, mapped to another through the sky."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .catalog.footprint import PEAK_SCHEMA, Footprint, FootprintColumn
from .catalog.source_catalog import SourceCatalog
from .conventions import Box, FloatArray, nearest_pixel
from .exposure import Wcs


def transformed_footprints(
    footprints: FootprintColumn, reference_wcs: Wcs, wcs: Wcs, bbox: Box
) -> FootprintColumn:
    """Map footprints from one image to another.

    A pixel belongs to the new footprint if its centre, mapped back, lies in a pixel of the old one. Peaks are
    mapped and those off the image dropped; values of pixels are not kept.

    Parameters
    ----------
    footprints
        One a source; None stays None.
    reference_wcs
        Of the image that they are on.
    wcs
        Of the new image.
    bbox
        Of the new image; footprints are clipped to it.
    """
    result = np.empty(len(footprints), dtype=object)
    for i, footprint in enumerate(footprints):
        if footprint is not None:
            result[i] = _transformed(footprint, reference_wcs, wcs, bbox)
    return result


def _transformed(footprint: Footprint, reference_wcs: Wcs, wcs: Wcs, bbox: Box) -> Footprint:
    old = footprint.bbox
    peaks = _transformed_peaks(footprint.peaks, reference_wcs, wcs, bbox)
    # The outline of the old box, to its pixels' outer edges, surrounds the new footprint.
    along_x, along_y = (
        np.linspace(start - 0.5, stop - 0.5, 2 + size // 8)
        for start, stop, size in ((old.x0, old.x_stop, old.width), (old.y0, old.y_stop, old.height))
    )
    x = np.concatenate([along_x, along_x, np.full(len(along_y), along_x[0]), np.full(len(along_y), along_x[-1])])
    y = np.concatenate([np.full(len(along_x), along_y[0]), np.full(len(along_x), along_y[-1]), along_y, along_y])
    x, y = wcs.sky_to_pixel(*reference_wcs.pixel_to_sky(x, y))
    if not (np.isfinite(x).all() and np.isfinite(y).all() and len(footprint.spans)):
        return Footprint(spans=np.zeros((0, 3), dtype=np.int32), peaks=peaks)
    x0, y0 = (
        int(np.clip(np.floor(x.min()), bbox.x0 - 1, bbox.x_stop)),
        int(np.clip(np.floor(y.min()), bbox.y0 - 1, bbox.y_stop)),
    )
    x1, y1 = (
        int(np.clip(np.ceil(x.max()), bbox.x0 - 1, bbox.x_stop)),
        int(np.clip(np.ceil(y.max()), bbox.y0 - 1, bbox.y_stop)),
    )
    new = Box(x0, y0, x1 - x0 + 1, y1 - y0 + 1).intersection(bbox)
    rows, columns = np.indices(new.shape)
    inside = _covers(
        footprint,
        *reference_wcs.sky_to_pixel(
            *wcs.pixel_to_sky(
                (columns + new.x0).ravel().astype(np.float64), (rows + new.y0).ravel().astype(np.float64)
            )
        ),
    ).reshape(new.shape)
    # Where a row goes from out to in, and from in to out.
    edges = np.diff(np.pad(inside, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (y_pixel, start), (_, stop) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    spans = np.stack([y_pixel + new.y0, start + new.x0, stop - 1 + new.x0], axis=1)
    return Footprint(spans=spans.astype(np.int32), peaks=peaks)


def _covers(footprint: Footprint, x: FloatArray, y: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell which positions lie in a pixel of a footprint."""
    box = footprint.bbox
    covered = np.zeros(box.shape, dtype=bool)
    columns, rows = footprint.pixels()
    covered[rows - box.y0, columns - box.x0] = True
    result = box.contains(x, y)
    column, row = (nearest_pixel(values[result]).astype(np.int64) for values in (x, y))
    result[result] = covered[row - box.y0, column - box.x0]
    return result


def _transformed_peaks(peaks: SourceCatalog, reference_wcs: Wcs, wcs: Wcs, bbox: Box) -> SourceCatalog:
    x, y = wcs.sky_to_pixel(
        *reference_wcs.pixel_to_sky(peaks["f_x"].astype(np.float64), peaks["f_y"].astype(np.float64))
    )
    inside = bbox.contains(x, y)
    columns = {
        field.name: peaks[field.name][inside].copy() for field in PEAK_SCHEMA if peaks.schema.has(field.name)
    }
    for axis, values in (("x", x[inside]), ("y", y[inside])):
        columns[f"f_{axis}"] = values.astype(np.float32)
        columns[f"i_{axis}"] = nearest_pixel(values).astype(np.int32)
    schema = peaks.schema.subset([field.name for field in PEAK_SCHEMA if field.name in columns])
    return SourceCatalog(schema, columns, kind="BASE")
