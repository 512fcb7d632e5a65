"""Merging: the detections of several bands on the same pixels, made one set of footprints and peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..catalog.footprint import PEAK_SCHEMA, Footprint
from ..catalog.schema import Columns, Schema
from ..catalog.source_catalog import SourceCatalog
from ..conventions import BoolArray, Box, IntArray
from .detection import Detections, footprints_of, grown_labels, peak_catalog

SAME_PEAK_PIX = 2.0
"""Peaks of two bands no further apart than this are one."""

NEW_PEAK_PIX = 4.0
"""A band's peak is added to those of the bands before it if it is further than this from all of them."""

SKY_FLAG = "merge_peak_sky"

_SKY_RADIUS_PIX = 8
_SKY_TRIALS = 20


def merge_schema(bands: Sequence[str]) -> Schema:
    """Return the schema of merged peaks: in which bands each was detected, or that it is a sky object."""
    schema = Schema(PEAK_SCHEMA)
    for band in bands:
        schema.add_field(
            f"merge_footprint_{band}", "bool", f"Detection footprint overlapped with a detection from {band}"
        )
        schema.add_field(f"merge_peak_{band}", "bool", f"Peak detected in filter {band}")
    schema.add_field(SKY_FLAG, "bool", "Peak detected in filter sky")
    return schema


def merge_detections(detections: Mapping[str, Detections]) -> tuple[Footprint, ...]:
    """Merge the detections of some bands.

    Footprints that touch become one. Its peaks are those of the first band, and those of later ones where there is
    none yet.

    Parameters
    ----------
    detections
        By band, all on the same pixels, in the order in which their positions are preferred.

    Returns
    -------
    Footprints; their peaks have the columns of `merge_schema`.
    """
    bbox = next(iter(detections.values())).bbox
    covered = {band: found.covered() for band, found in detections.items()}
    labels = grown_labels(np.logical_or.reduce(list(covered.values())), 0.0)
    columns = _merged_peaks(detections)
    number = labels[columns["i_y"] - bbox.y0, columns["i_x"] - bbox.x0]
    for band, mask in covered.items():
        columns[f"merge_footprint_{band}"][:] = np.isin(number, labels[mask])
    peaks = SourceCatalog(merge_schema(list(detections)), columns, kind="BASE")
    return footprints_of(labels, peaks, bbox)


def _merged_peaks(detections: Mapping[str, Detections]) -> Columns:
    from scipy.spatial import cKDTree

    schema = merge_schema(list(detections))
    merged = schema.allocate(0)
    for band, found in detections.items():
        peaks = {
            field.name: np.concatenate(
                [np.zeros(0, field.dtype), *(footprint.peaks[field.name] for footprint in found.footprints)]
            )
            for field in PEAK_SCHEMA
        }
        positions = np.stack([peaks["f_x"], peaks["f_y"]], axis=1)
        distance = np.full(len(positions), np.inf)
        if len(merged["id"]) and len(positions):
            distance, nearest = cKDTree(np.stack([merged["f_x"], merged["f_y"]], axis=1)).query(positions)
            merged[f"merge_peak_{band}"][nearest[distance <= SAME_PEAK_PIX]] = True
        added = schema.allocate(int((distance > NEW_PEAK_PIX).sum()))
        for name, values in peaks.items():
            added[name][:] = values[distance > NEW_PEAK_PIX]
        added[f"merge_peak_{band}"][:] = True
        merged = {name: np.concatenate([merged[name], added[name]]) for name in merged}
    merged["id"][:] = np.arange(1, len(merged["id"]) + 1)
    return merged


def sky_footprints(
    footprints: Sequence[Footprint], schema: Schema, usable: BoolArray, bbox: Box, n_wanted: int, seed: int
) -> tuple[Footprint, ...]:
    """Choose blank positions: discs that touch no footprint, and none of each other.

    Parameters
    ----------
    footprints
        What was detected.
    schema
        Of the peaks.
    usable
        Where there is an image, shape (height, width).
    bbox
        Of the image.
    n_wanted
        How many, if there is room for them.
    seed
        Of their positions.
    """
    from scipy import ndimage

    blank = usable.copy()
    for footprint in footprints:
        x, y = footprint.pixels()
        blank[y - bbox.y0, x - bbox.x0] = False
    # The image's outside is not blank either.
    room = ndimage.distance_transform_edt(np.pad(blank, 1))[1:-1, 1:-1] > _SKY_RADIUS_PIX + 1
    rng = np.random.default_rng(seed)
    trials = rng.permutation(np.flatnonzero(room.ravel()))[: n_wanted * _SKY_TRIALS]
    rows, columns = np.divmod(trials, bbox.width)
    chosen: list[int] = []
    for i in range(len(trials)):
        if len(chosen) == n_wanted:
            break
        apart = np.hypot(rows[chosen] - rows[i], columns[chosen] - columns[i]) > 2 * _SKY_RADIUS_PIX + 1
        if apart.all():
            chosen.append(i)
    peaks = _sky_peaks(columns[chosen], rows[chosen], schema, bbox)
    return tuple(
        Footprint(spans=_disc(int(peak["i_x"]), int(peak["i_y"])), peaks=peaks[i : i + 1])
        for i, peak in enumerate(peaks)
    )


def _sky_peaks(columns: IntArray, rows: IntArray, schema: Schema, bbox: Box) -> SourceCatalog:
    found = peak_catalog(columns.astype(np.float64), rows.astype(np.float64), np.zeros(len(rows)), bbox)
    values = schema.allocate(len(rows))
    values.update(found.columns)
    values[SKY_FLAG][:] = True
    return SourceCatalog(schema, values, kind="BASE")


def _disc(x: int, y: int) -> npt.NDArray[np.int32]:
    rows = np.arange(-_SKY_RADIUS_PIX, _SKY_RADIUS_PIX + 1)
    half_width = np.floor(np.sqrt(_SKY_RADIUS_PIX**2 - rows**2)).astype(np.int64)
    return np.stack([y + rows, x - half_width, x + half_width], axis=1).astype(np.int32)
