"""Objects: what is detected on the coadds of a patch in any band, measured in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..catalog.footprint import Footprint
from ..catalog.schema import Field
from ..catalog.source_catalog import SourceCatalog
from ..conventions import BoolArray, Box, FloatArray, IntArray
from ..errors import ExposureError
from ..exposure import Exposure
from ..id_generator import IdGenerator
from .deblending import deblend
from .detection import detect
from .measuring import COADD_PLUGINS, FORCED_PLUGINS, family_catalog, measure, measure_forced
from .merging import SKY_FLAG, merge_detections, merge_schema, sky_footprints

BAND_PRIORITY = "irzygu"
"""Which band positions and shapes are taken from, if an object is bright enough in it."""

_ENOUGH_SIGNAL_TO_NOISE = 10.0
_SKY_OBJECTS_A_MEGAPIXEL = 40.0


@dataclass(frozen=True, slots=True)
class ObjectCatalogs:
    """Catalogs of a patch, all row for row: parents and single objects, then children.

    Parameters
    ----------
    reference
        The measurements in each object's reference band, where it is in the patch (detect_isPrimary and its like),
        in which bands it was detected (merge_peak_r, ...), and which is the reference band
        (merge_measurement_r, ...).
    measured
        By band: at the centroid in that band.
    forced
        By band: at the reference's centroid.
    """

    reference: SourceCatalog
    measured: Mapping[str, SourceCatalog]
    forced: Mapping[str, SourceCatalog]

    def reference_bands(self) -> list[str]:
        """Return the reference band of each object."""
        result = [""] * len(self.reference)
        for band in self.measured:
            for row in np.flatnonzero(self.reference[f"merge_measurement_{band}"]).tolist():
                result[row] = band
        return result


def measure_objects(
    exposures: Mapping[str, Exposure], patch_inner: Box, tract_inner: Box, ids: IdGenerator, *, seed: int = 0
) -> ObjectCatalogs:
    """Detect, merge, deblend and measure the objects of a patch.

    Parameters
    ----------
    exposures
        Coadds of the patch by band, all of the same pixels.
    patch_inner, tract_inner
        The part of the sky that is this patch's, and this tract's, alone, in the pixel frame of the coadds.
    ids
        Makes the objects' ids.
    seed
        Of the sky objects' positions, and of noise in place of neighbours.

    Raises
    ------
    ExposureError
        If the coadds differ in their pixels.
    """
    bands = sorted(exposures, key=BAND_PRIORITY.index)
    bbox = exposures[bands[0]].bbox
    if any(exposure.bbox != bbox for exposure in exposures.values()):
        raise ExposureError("The coadds of a patch should cover the same pixels; these differ in their boxes.")
    footprints = _all_footprints({band: exposures[band] for band in bands}, bbox, seed)
    families = {band: family_catalog(footprints, deblend(exposures[band], footprints), ids) for band in bands}
    measured = {band: measure(exposures[band], families[band], COADD_PLUGINS, exposure_id=seed) for band in bands}
    reference = _reference(measured, patch_inner, tract_inner)
    forced = {
        band: measure_forced(
            exposures[band],
            _with_footprints(reference, measured[band]),
            FORCED_PLUGINS,
            copied=_copied_by_forced(reference),
            exposure_id=seed,
        )
        for band in bands
    }
    return ObjectCatalogs(reference, measured, forced)


def _all_footprints(exposures: Mapping[str, Exposure], bbox: Box, seed: int) -> list[Footprint]:
    merged = merge_detections({band: detect(exposure) for band, exposure in exposures.items()})
    n_sky = round(_SKY_OBJECTS_A_MEGAPIXEL * bbox.width * bbox.height / 1e6)
    usable = np.logical_and.reduce([_has_data(exposure) for exposure in exposures.values()])
    return [*merged, *sky_footprints(merged, merge_schema(list(exposures)), usable, bbox, n_sky, seed)]


def _has_data(exposure: Exposure) -> BoolArray:
    variance = exposure.variance
    if variance is None:
        return np.ones(exposure.image.shape, dtype=bool)
    good: BoolArray = np.isfinite(exposure.image) & np.isfinite(variance) & (variance > 0)
    return good


def _reference(measured: Mapping[str, SourceCatalog], patch_inner: Box, tract_inner: Box) -> SourceCatalog:
    """Take each row from the catalog of its reference band."""
    bands = list(measured)
    chosen = _reference_band(measured)
    first = measured[bands[0]]
    columns = {
        name: np.choose(_along(chosen, values), [measured[band].columns[name] for band in bands])
        for name, values in first.columns.items()
    }
    footprints = [measured[bands[band]][row].getFootprint() for row, band in enumerate(chosen.tolist())]
    taken = SourceCatalog(first.schema, columns, first.metadata, footprints=footprints)
    return taken.with_columns(_reference_flags(taken, chosen, bands, patch_inner, tract_inner))


def _along(chosen: IntArray, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> IntArray:
    return chosen.reshape(-1, *[1] * (values.ndim - 1))


def _reference_band(measured: Mapping[str, SourceCatalog]) -> IntArray:
    """Return the number of the first band in which each object is bright, or of that in which it is brightest."""
    signal: list[FloatArray] = []
    for catalog in measured.values():
        with np.errstate(all="ignore"):
            ratio = catalog["slot_PsfFlux_instFlux"] / catalog["slot_PsfFlux_instFluxErr"]
        unusable = catalog["base_SdssCentroid_flag"] | catalog["slot_PsfFlux_flag"] | np.isnan(ratio)
        signal.append(np.where(unusable, -np.inf, ratio))
    signals = np.array(signal)
    is_enough = signals >= _ENOUGH_SIGNAL_TO_NOISE
    chosen: IntArray = np.where(is_enough.any(axis=0), is_enough.argmax(axis=0), signals.argmax(axis=0))
    # Blank sky is no brighter anywhere.
    sky = next(iter(measured.values()))[SKY_FLAG]
    return np.where(sky, 0, chosen)


def _reference_flags(
    catalog: SourceCatalog, chosen: IntArray, bands: Sequence[str], patch_inner: Box, tract_inner: Box
) -> dict[Field, BoolArray]:
    x, y = catalog["slot_Centroid_x"], catalog["slot_Centroid_y"]
    in_patch, in_tract = patch_inner.contains(x, y), tract_inner.contains(x, y)
    is_child = catalog["parent"] != 0
    is_leaf = catalog["deblend_nChild"] == 0
    is_sky = catalog[SKY_FLAG]
    is_primary = is_leaf & in_patch & in_tract & ~is_sky
    flags = {
        "detect_isPatchInner": ("true if source is in the inner region of a coadd patch", in_patch),
        "detect_isTractInner": ("true if source is in the inner region of a coadd tract", in_tract),
        "detect_isPrimary": (
            "true if source has no children, is in the inner regions of patch and tract, and is no sky object",
            is_primary,
        ),
        "detect_isDeblendedSource": ("This source has no children", is_leaf),
        "detect_fromBlend": ("This source is deblended from a parent with more than one child", is_child),
        "detect_isIsolated": ("This source is not a part of a blend", is_leaf & ~is_child),
    } | {
        f"merge_measurement_{band}": (
            f"Flag field set if the measurements here are from the {band} filter",
            chosen == i,
        )
        for i, band in enumerate(bands)
    }
    return {Field(name, "bool", doc): values for name, (doc, values) in flags.items()}


def _with_footprints(reference: SourceCatalog, measured: SourceCatalog) -> SourceCatalog:
    """Give the reference the pixels that the deblender gave its objects in another band."""
    return SourceCatalog(reference.schema, reference.columns, reference.metadata, footprints=measured.footprints)


def _copied_by_forced(reference: SourceCatalog) -> dict[str, str]:
    """Return what forced catalogs have of the reference, which is in other catalogs too: who is whose parent."""
    flags = [name for name in reference.columns if name.startswith(("detect_", "merge_"))]
    return {"id": "objectId", "parent": "parentObjectId", **{name: name for name in ("deblend_nChild", *flags)}}
